//go:build unix

package wrap

import (
	"os"
	"syscall"
)

// openStdout opens the standard output a second time, by another number: the Go
// runtime ends a program that writes to a broken pipe by the numbers 1 and 2.
func openStdout() (*os.File, error) {
	fd, err := syscall.Dup(syscall.Stdout)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "standard output"), nil
}
