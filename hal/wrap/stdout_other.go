//go:build !unix

package wrap

import "os"

func openStdout() (*os.File, error) { return os.Stdout, nil }
