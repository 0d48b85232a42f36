package afxdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// linkState is the state of the interface, kept up to date by the kernel's messages
// about it. Its sockets do not tell: when it is deleted they are cut off, and
// whoever sleeps on one sleeps on.
type linkState struct {
	gone atomic.Bool // deleted, or moved to another namespace: for good
	down atomic.Bool // switched off, or without carrier: the kernel drops what is sent

	index int
	file  *os.File      // a netlink socket in the interface's namespace
	buf   []byte        // of whoever reads
	known bool          // the interface has been heard of; of whoever reads
	ended chan struct{} // closed when follow has ended
}

// open begins to listen, and finds out how things are. It has to be called in
// the namespace of the interface.
func (l *linkState) open(index int) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	l.index, l.file, l.buf = index, os.NewFile(uintptr(fd), "netlink"), make([]byte, 64<<10)
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err == nil {
		err = l.ask()
	}
	for err == nil && !l.known && !l.gone.Load() {
		_, err = l.hear()
	}
	if err != nil {
		l.file.Close()
		return fmt.Errorf("netlink: state of the interface: %w", err)
	}
	return nil
}

// ask makes the kernel say how the interface is.
func (l *linkState) ask() error {
	r := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_REQUEST)
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(l.index)
	r.AddData(m)
	_, err := l.file.Write(r.Serialize())
	return err
}

// follow listens, and calls changed after each change, until close.
func (l *linkState) follow(changed func()) {
	l.ended = make(chan struct{})
	go func() {
		defer close(l.ended)
		for {
			news, err := l.hear()
			if err != nil {
				return // closed
			}
			if news {
				changed()
			}
		}
	}()
}

// close ends follow, and waits for it.
func (l *linkState) close() {
	l.file.Close()
	if l.ended != nil {
		<-l.ended
	}
}

// hear reads what the kernel says next, and reports whether anything has changed.
func (l *linkState) hear() (news bool, err error) {
	n, err := l.file.Read(l.buf)
	if errors.Is(err, unix.ENOBUFS) { // too much to say: messages were lost
		return false, l.ask()
	}
	if err != nil {
		return false, err
	}
	messages, err := syscall.ParseNetlinkMessage(l.buf[:n])
	if err != nil {
		return false, l.ask()
	}
	for i := range messages {
		news = l.heed(&messages[i]) || news
	}
	return news, nil
}

// heed takes note of a message.
func (l *linkState) heed(m *syscall.NetlinkMessage) (news bool) {
	switch {
	case m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4:
		// The answer to ask, when there is nothing to tell about.
		if errno := int32(binary.NativeEndian.Uint32(m.Data)); errno == -int32(unix.ENODEV) {
			return !l.gone.Swap(true)
		}
		return false
	case m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK, len(m.Data) < unix.SizeofIfInfomsg:
		return false
	}
	info := nl.DeserializeIfInfomsg(m.Data)
	if int(info.Index) != l.index || info.Family != unix.AF_UNSPEC { // of a bridge's: it has left the bridge
		return false
	}
	if m.Header.Type == unix.RTM_DELLINK {
		return !l.gone.Swap(true)
	}
	const up = unix.IFF_UP | unix.IFF_LOWER_UP
	down := info.Flags&up != up
	news = !l.known
	l.known = true
	return l.down.Swap(down) != down || news
}
