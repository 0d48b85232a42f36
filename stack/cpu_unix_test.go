//go:build unix

package stack_test

import "syscall"

// cpu is the time that all threads of the process have run, in nanoseconds.
func cpu() int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return r.Utime.Nano() + r.Stime.Nano()
}
