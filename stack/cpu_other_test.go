//go:build !unix

package stack_test

// cpu is not known here.
func cpu() int64 { return 0 }
