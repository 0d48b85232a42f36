package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// netFace is what both package net and the net face can do.
type netFace struct {
	dial         func(ctx context.Context, network, address string) (net.Conn, error)
	listen       func(network, address string) (net.Listener, error)
	listenPacket func(network, address string) (net.PacketConn, error)
	host         string
}

// A side is one end of a test: on package net both are the same.
type faces struct {
	*testing.T
	server, client netFace
}

func ours(l *api.LibOS, addr netip.Addr) netFace {
	n := l.Net()
	return netFace{n.DialContext, n.Listen, n.ListenPacket, addr.String()}
}

// eachNet runs a test on package net and on all transports: what holds there
// holds here.
func eachNet(t *testing.T, test func(f faces)) {
	t.Run("package net", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("its errnos have other numbers")
		}
		f := netFace{new(net.Dialer).DialContext, net.Listen, net.ListenPacket, "127.0.0.1"}
		test(faces{t, f, f})
	})
	eachKind(t, func(t *testing.T, r rig) {
		test(faces{t, ours(r.server, r.addr), ours(r.client, r.addr)})
	})
}

func (f faces) any() string { return net.JoinHostPort(f.server.host, "0") }

func (f faces) listen() net.Listener {
	f.Helper()
	ln := must1(f.server.listen("tcp", f.any()))
	f.Cleanup(func() { ln.Close() })
	return ln
}

func (f faces) pair() (server, client net.Conn) {
	f.Helper()
	ln := f.listen()
	client = must1(f.client.dial(ctx, "tcp", ln.Addr().String()))
	server = must1(ln.Accept())
	f.Cleanup(func() { server.Close(); client.Close() })
	return server, client
}

// fails checks that err is what package net makes of want.
func (f faces) fails(what string, err, want error, timeout bool) {
	f.Helper()
	var op *net.OpError
	if !errors.Is(err, want) || !errors.As(err, &op) {
		f.Errorf("%s: got error %v (%T), want a net.OpError around %v", what, err, err, want)
		return
	}
	if op.Timeout() != timeout {
		f.Errorf("%s: Timeout() = %v", what, op.Timeout())
	}
	var errno, wanted syscall.Errno
	if errors.As(want, &wanted) && !errors.As(err, &errno) {
		f.Errorf("%s: no errno in %#v", what, err)
	}
	var sys *os.SyscallError
	if errors.As(want, &wanted) && !errors.As(err, &sys) {
		f.Errorf("%s: no os.SyscallError in %#v", what, err)
	}
}

func TestConn(t *testing.T) {
	eachNet(t, func(f faces) {
		server, client := f.pair()
		if server.RemoteAddr().String() != client.LocalAddr().String() || client.RemoteAddr().String() != server.LocalAddr().String() {
			f.Errorf("addresses: %v-%v and %v-%v", server.LocalAddr(), server.RemoteAddr(), client.LocalAddr(), client.RemoteAddr())
		}
		if client.LocalAddr().Network() != "tcp" {
			f.Errorf("network %q", client.LocalAddr().Network())
		}
		if n, err := client.Write(nil); n != 0 || err != nil {
			f.Errorf("Write(nil) = %d, %v", n, err)
		}
		if n, err := server.Read(nil); n != 0 || err != nil { // it would wait for ever if it waited
			f.Errorf("Read(nil) = %d, %v", n, err)
		}
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		var wg sync.WaitGroup
		wg.Go(func() {
			if n, err := client.Write(big); n != len(big) || err != nil {
				f.Errorf("Write = %d, %v", n, err)
			}
			client.(interface{ CloseWrite() error }).CloseWrite()
		})
		got, err := io.ReadAll(server)
		if err != nil || !bytes.Equal(got, big) {
			f.Errorf("ReadAll: %d bytes, %v", len(got), err)
		}
		wg.Wait()
		if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF { // not wrapped
			f.Errorf("Read at the end = %d, %v", n, err)
		}
		must1(server.Write([]byte("bye")))
		server.Close()
		if got, err := io.ReadAll(client); string(got) != "bye" || err != nil {
			f.Errorf("ReadAll: %q, %v", got, err)
		}
		_, err = client.Write([]byte("x"))
		f.fails("Write after CloseWrite", err, syscall.EPIPE, false)
	})
}

func TestConnClose(t *testing.T) {
	eachNet(t, func(f faces) {
		_, client := f.pair()
		errs := make(chan error)
		for range 3 {
			go func() {
				_, err := client.Read(make([]byte, 1))
				errs <- err
			}()
		}
		time.Sleep(time.Millisecond) // most likely they wait now; it is right either way
		must(client.Close())
		for range 3 {
			f.fails("Read", <-errs, net.ErrClosed, false)
		}
		f.fails("Close", client.Close(), net.ErrClosed, false)
		_, err := client.Write([]byte("x"))
		f.fails("Write", err, net.ErrClosed, false)
		_, err = client.Read(nil)
		f.fails("Read(nil)", err, net.ErrClosed, false)
		f.fails("SetDeadline", client.SetDeadline(time.Time{}), net.ErrClosed, false)
	})
}

// What the time of SetLinger is too short for is not lost.
func TestConnLinger(t *testing.T) {
	eachNet(t, func(f faces) {
		server, client := f.pair()
		must(client.(interface{ SetLinger(int) error }).SetLinger(1))
		client.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, _ := client.Write(make([]byte, 16<<20)) // more than all buffers
		if err := client.Close(); err != nil {
			f.Errorf("Close: %v", err)
		}
		if got, err := io.ReadAll(server); len(got) != n || err != nil {
			f.Errorf("%d of %d bytes came: %v", len(got), n, err)
		}
	})
}

func TestListener(t *testing.T) {
	eachNet(t, func(f faces) {
		ln := must1(f.server.listen("tcp", f.any()))
		_, err := f.server.listen("tcp", ln.Addr().String())
		f.fails("Listen once more", err, syscall.EADDRINUSE, false)
		d := ln.(interface{ SetDeadline(time.Time) error })
		d.SetDeadline(time.Now().Add(time.Millisecond))
		_, err = ln.Accept()
		f.fails("Accept past its deadline", err, os.ErrDeadlineExceeded, true)
		d.SetDeadline(time.Time{})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := ln.Accept()
			f.fails("Accept", err, net.ErrClosed, false)
		})
		time.Sleep(time.Millisecond)
		must(ln.Close())
		wg.Wait()
		f.fails("Close", ln.Close(), net.ErrClosed, false)
		_, err = ln.Accept()
		f.fails("Accept after Close", err, net.ErrClosed, false)
		_, err = f.client.dial(ctx, "tcp", ln.Addr().String())
		f.fails("Dial", err, syscall.ECONNREFUSED, false)
		var op *net.OpError
		if errors.As(err, &op); op.Op != "dial" || op.Net != "tcp" || op.Addr == nil {
			f.Errorf("Dial: %#v", op)
		}
	})
}

func TestDeadlines(t *testing.T) {
	eachNet(t, func(f faces) {
		server, client := f.pair()
		buf := make([]byte, 10)
		client.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		_, err := client.Read(buf)
		f.fails("Read", err, os.ErrDeadlineExceeded, true)
		must1(server.Write([]byte("x")))
		_, err = client.Read(buf)
		f.fails("Read, though there is something", err, os.ErrDeadlineExceeded, true)
		client.SetReadDeadline(time.Time{})
		if n, err := client.Read(buf); n != 1 || err != nil {
			f.Errorf("Read without deadline = %d, %v", n, err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := client.Read(buf)
			f.fails("Read, when a past deadline is set", err, os.ErrDeadlineExceeded, true)
		})
		time.Sleep(time.Millisecond)
		client.SetReadDeadline(time.Unix(1, 0))
		wg.Wait()
		client.SetReadDeadline(time.Now().Add(time.Hour))
		wg.Go(func() { must1(server.Write([]byte("y"))) })
		if n, err := client.Read(buf); n != 1 || err != nil {
			f.Errorf("Read with a far deadline = %d, %v", n, err)
		}
		wg.Wait()

		big := make([]byte, 64<<20)
		wg.Go(func() { // once something has arrived
			must1(io.ReadFull(server, buf[:1]))
			client.SetWriteDeadline(time.Unix(1, 0))
		})
		n, err := client.Write(big)
		wg.Wait()
		f.fails("Write", err, os.ErrDeadlineExceeded, true)
		if n <= 0 || n >= len(big) {
			f.Errorf("Write: n = %d", n)
		}
		client.Close()
		if got, _ := io.Copy(io.Discard, server); got+1 != int64(n) {
			f.Errorf("%d bytes arrived of %d written", got+1, n)
		}
	})
}

func TestPacketConn(t *testing.T) {
	eachNet(t, func(f faces) {
		server := must1(f.server.listenPacket("udp", f.any()))
		defer server.Close()
		client := must1(f.client.dial(ctx, "udp", server.LocalAddr().String()))
		defer client.Close()
		buf := make([]byte, 5)
		for _, p := range []string{"hi", "", "cut off"} {
			if n, err := client.Write([]byte(p)); n != len(p) || err != nil {
				f.Errorf("Write = %d, %v", n, err)
			}
			n, from, err := server.ReadFrom(buf)
			if err != nil || string(buf[:n]) != p[:min(len(p), 5)] || from.String() != client.LocalAddr().String() {
				f.Errorf("ReadFrom = %q, %v, %v", buf[:n], from, err)
			}
		}
		must1(server.WriteTo([]byte("back"), client.LocalAddr()))
		if n, err := client.Read(buf); n != 4 || err != nil {
			f.Errorf("Read = %d, %v", n, err)
		}
		_, err := client.(net.PacketConn).WriteTo([]byte("x"), server.LocalAddr())
		f.fails("WriteTo, connected", err, net.ErrWriteToConnected, false)
		ap := server.(interface {
			ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error)
			WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
		})
		must1(ap.WriteToUDPAddrPort([]byte("a"), addrPort(client.LocalAddr())))
		must1(client.Write([]byte("b")))
		if n, from, err := ap.ReadFromUDPAddrPort(buf); n != 1 || err != nil || unmapped(from) != addrPort(client.LocalAddr()) {
			f.Errorf("ReadFromUDPAddrPort = %d, %v, %v", n, from, err)
		}
		server.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, _, err = server.ReadFrom(buf)
		f.fails("ReadFrom", err, os.ErrDeadlineExceeded, true)
		server.SetReadDeadline(time.Time{})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _, err := server.ReadFrom(buf)
			f.fails("ReadFrom", err, net.ErrClosed, false)
		})
		time.Sleep(time.Millisecond)
		server.Close()
		wg.Wait()
		_, err = server.WriteTo([]byte("x"), client.LocalAddr())
		f.fails("WriteTo", err, net.ErrClosed, false)
	})
}

func unmapped(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
