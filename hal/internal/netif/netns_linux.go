package netif

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// InNetNS runs f in a network namespace: a name of ip-netns(8), a path, or
// empty for the one of the calling thread. What f opens (sockets, a TAP) belongs
// to that namespace and then works everywhere. Goroutines that f starts run
// somewhere else.
func InNetNS(ns string, f func() error) error {
	if ns == "" {
		return f()
	}
	path := ns
	if !strings.Contains(ns, "/") {
		path = filepath.Join("/run/netns", ns)
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no network namespace %s (ip netns add %s): %w", path, filepath.Base(path), err)
	}
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	defer file.Close()

	done := make(chan error)
	go func() { done <- onThreadIn(int(file.Fd()), path, f) }()
	return <-done
}

// onThreadIn runs f on a thread that is in a network namespace meanwhile. If it
// cannot be brought back it stays locked, so that it ends with its goroutine.
func onThreadIn(ns int, path string, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("network namespace: %w", err)
	}
	defer home.Close()
	switch err = unix.Setns(ns, unix.CLONE_NEWNET); err {
	case nil:
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		return err
	case unix.EPERM:
		err = fmt.Errorf("entering network namespace %s needs the capability CAP_SYS_ADMIN (run as root, or start the program inside: ip netns exec): %w", path, err)
	case unix.EINVAL:
		err = fmt.Errorf("%s is not a network namespace: %w", path, err)
	default:
		err = fmt.Errorf("entering network namespace %s: %w", path, err)
	}
	runtime.UnlockOSThread()
	return err
}
