package netface

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A run is one body in one world, and what it has noted.
type run struct {
	testing.TB
	world
	hurry bool              // what does not come soon will not come
	names map[string]string // of addresses, by their text
	notes []note
}

// A note is a call and what it returned.
type note struct{ call, result string }

func (r *run) note(call, result string) { r.notes = append(r.notes, note{call, result}) }

// err notes an error.
func (r *run) err(call string, err error) { r.note(call, r.describe(err)) }

// n notes a count and an error.
func (r *run) n(call string, n int64, err error) {
	r.note(call, fmt.Sprintf("%d, %s", n, r.describe(err)))
}

// some notes a count of which only is known that it is neither nothing nor all.
func (r *run) some(call string, n, all int, err error) {
	text := fmt.Sprint(n)
	if 0 < n && n < all {
		text = "some"
	}
	r.note(call, text+", "+r.describe(err))
}

// call gives an address a name for the notes, and returns it.
func (r *run) call(a net.Addr, name string) net.Addr {
	r.names[a.String()] = name
	return a
}

// address is what notes call an address.
func (r *run) address(a net.Addr) string {
	if a == nil {
		return "nil"
	}
	if name, ok := r.names[a.String()]; ok {
		return name
	}
	return a.String()
}

// sentinels are what errors are compared with, by errors.Is.
var sentinels = []struct {
	err  error
	name string
}{
	{net.ErrClosed, "net.ErrClosed"}, {net.ErrWriteToConnected, "net.ErrWriteToConnected"},
	{context.Canceled, "context.Canceled"}, {io.ErrShortWrite, "io.ErrShortWrite"}, {io.ErrUnexpectedEOF, "io.ErrUnexpectedEOF"},
	{errOwn, "the caller's own error"},
	{syscall.EACCES, "EACCES"}, {syscall.EADDRINUSE, "EADDRINUSE"}, {syscall.EADDRNOTAVAIL, "EADDRNOTAVAIL"},
	{syscall.EAFNOSUPPORT, "EAFNOSUPPORT"}, {syscall.ECONNABORTED, "ECONNABORTED"}, {syscall.ECONNREFUSED, "ECONNREFUSED"},
	{syscall.ECONNRESET, "ECONNRESET"}, {syscall.EDESTADDRREQ, "EDESTADDRREQ"}, {syscall.EHOSTUNREACH, "EHOSTUNREACH"},
	{syscall.EINVAL, "EINVAL"}, {syscall.EISCONN, "EISCONN"}, {syscall.EMSGSIZE, "EMSGSIZE"}, {syscall.ENETUNREACH, "ENETUNREACH"},
	{syscall.ENOTCONN, "ENOTCONN"}, {syscall.EPIPE, "EPIPE"}, {syscall.ETIMEDOUT, "ETIMEDOUT"},
}

// errOwn is an error that comes from code of the caller's. The number in it is
// none of a socket's.
var errOwn = fmt.Errorf("own: %w", syscall.EBADF)

// describe says what an error is: its structure, with names in place of
// addresses and numbers, and what its methods answer.
func (r *run) describe(err error) string {
	switch err {
	case nil:
		return "ok"
	case io.EOF:
		return "EOF"
	}
	text := r.structure(err)
	var e net.Error
	if !errors.As(err, &e) {
		return text
	}
	if e.Timeout() {
		text += " (timeout)"
	}
	if t, ok := e.(interface{ Temporary() bool }); ok && t.Temporary() != e.Timeout() {
		text += " (temporary)"
	}
	return text
}

func (r *run) structure(err error) string {
	switch e := err.(type) {
	case *net.OpError:
		from := ""
		if e.Source != nil {
			from = r.address(e.Source) + "->"
		}
		return fmt.Sprintf("%s %s %s%s: %s", e.Op, e.Net, from, r.address(e.Addr), r.structure(e.Err))
	case *os.SyscallError:
		return e.Syscall + ": " + r.structure(e.Err)
	case *net.AddrError, *net.DNSError:
		return strings.TrimPrefix(fmt.Sprintf("%T", e), "*")
	}
	var is []string
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			is = append(is, s.name)
		}
	}
	// The ends of contexts and of deadlines: dials know two.
	switch late, over := errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded); {
	case over:
		is = append(is, "os.ErrDeadlineExceeded")
	case late:
		is = append(is, "context.DeadlineExceeded")
	}
	if len(is) == 0 {
		return fmt.Sprintf("%q", err.Error())
	}
	return strings.Join(is, " and ")
}

// Ends of connections and sockets. They live as long as the run.

func at(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() }

// bound sees to it that nothing waits for ever.
func (r *run) bound(ends ...deadliner) {
	for _, e := range ends {
		if r.hurry {
			check(e.SetDeadline(time.Now().Add(patience)))
		}
	}
}

func (r *run) listener() net.Listener { return r.listen(r.far, r.farAddr) }

// nearListener is a listener whose own calls are noted.
func (r *run) nearListener() net.Listener { return r.listen(r.near, r.nearAddr) }

func (r *run) listen(f face, addr netip.Addr) net.Listener {
	r.Helper()
	ln := must(f.listen("tcp", at(addr, 0), 0))
	r.Cleanup(func() { ln.Close() })
	r.bound(ln.(deadliner))
	r.call(ln.Addr(), "listener")
	return ln
}

// pair is a connection that the near end began.
func (r *run) pair() (near, far net.Conn) { return r.pairWith(dialing{}) }

func (r *run) pairWith(d dialing) (near, far net.Conn) {
	r.Helper()
	ln := r.listener()
	near = must(r.near.dial(ctx, d, "tcp", ln.Addr().String()))
	far = must(ln.Accept())
	r.Cleanup(func() { near.Close(); far.Close() })
	r.bound(near, far)
	r.call(near.LocalAddr(), "near")
	r.call(near.RemoteAddr(), "far")
	return near, far
}

// sockets are two datagram sockets that are not connected.
func (r *run) sockets() (near, far net.PacketConn) {
	r.Helper()
	near = must(r.near.listenPacket("udp", at(r.nearAddr, 0)))
	far = must(r.far.listenPacket("udp", at(r.farAddr, 0)))
	r.Cleanup(func() { near.Close(); far.Close() })
	r.bound(near, far)
	r.call(near.LocalAddr(), "near")
	r.call(far.LocalAddr(), "far")
	return near, far
}

// connected is a datagram socket that is connected to another.
func (r *run) connected() (near net.Conn, far net.PacketConn) {
	r.Helper()
	far = must(r.far.listenPacket("udp", at(r.farAddr, 0)))
	near = must(r.near.dial(ctx, dialing{}, "udp", far.LocalAddr().String()))
	r.Cleanup(func() { near.Close(); far.Close() })
	r.bound(near, far)
	r.call(near.LocalAddr(), "near")
	r.call(far.LocalAddr(), "far")
	return near, far
}

// read notes a read of up to four bytes.
func (r *run) read(c net.Conn, call string) {
	n, err := c.Read(make([]byte, 4))
	r.n(call, int64(n), err)
}

// write notes a write of one byte.
func (r *run) write(c net.Conn, call string) {
	n, err := c.Write([]byte("x"))
	r.n(call, int64(n), err)
}

// soon is long enough for what has happened to show, and short enough to find
// out that nothing happens.
const soon = 50 * time.Millisecond

// state notes what can still be done with a connection.
func (r *run) state(c net.Conn) {
	check(c.SetDeadline(time.Time{}))
	check(c.SetReadDeadline(time.Now().Add(soon)))
	n, err := c.Read(make([]byte, 4))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r.note("then Read", "waits")
	} else {
		r.n("then Read", int64(n), err)
	}
	r.write(c, "then Write")
	r.err("then Close", c.Close())
}

// reset closes a connection by a reset.
func reset(c net.Conn) {
	check(c.(interface{ SetLinger(int) error }).SetLinger(0))
	check(c.Close())
}

// during runs f beside what, which waits: most likely it waits already when f
// runs, and what comes of it is the same if not.
func during(what, f func()) {
	var wg sync.WaitGroup
	wg.Go(what)
	time.Sleep(5 * time.Millisecond)
	f()
	wg.Wait()
}
