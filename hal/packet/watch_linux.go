package packet

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// watch hears of changes to interfaces. A packet socket tells its owner once that
// its interface went down, and nothing if it is deleted after that: a host that
// only waits for clients would wait for ever.
type watch struct {
	file *os.File // a netlink socket, read by the goroutine alone
	done sync.WaitGroup
}

// newWatch opens the netlink socket, in the namespace of the calling thread.
func newWatch() (*watch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink: changes of interfaces: %w", err)
	}
	return &watch{file: os.NewFile(uintptr(fd), "netlink")}, nil
}

// start calls changed, from a goroutine, after every change to some interface,
// until close. What has changed is for changed to find out.
func (w *watch) start(changed func()) {
	w.done.Go(func() {
		buf := make([]byte, 1<<10) // the rest of a message is dropped
		for {
			// ENOBUFS: more was said than the socket could hold.
			if _, err := w.file.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
			changed()
		}
	})
}

// close ends the goroutine, and returns when it has ended.
func (w *watch) close() {
	_ = w.file.Close() // again, for those who come later
	w.done.Wait()
}
