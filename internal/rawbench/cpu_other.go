//go:build !unix

package rawbench

import "time"

func processCPU() time.Duration { return 0 }
