package netface

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestPacketConn is a suite for datagram sockets: nettest has none. What single
// calls return is in the table; here is what many do at once, and what goes to
// many.
func TestPacketConn(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		for name, test := range map[string]func(*testing.T, world){
			"echo":             testEcho,
			"concurrent":       testConcurrent,
			"close unblocks":   testCloseUnblocks,
			"order":            testOrder,
			"full":             testFull,
			"connected":        testConnected,
			"refused":          testRefused,
			"broadcast":        testBroadcast,
			"multicast":        testMulticast,
			"multicast errors": testMulticastErrors,
			"group address":    testGroupAddress,
		} {
			t.Run(name, func(t *testing.T) { test(t, w) })
		}
	})
}

// patience is how long what must come is waited for.
const patience = 20 * time.Second

func open(t *testing.T, f face, network, address string) datagrams {
	t.Helper()
	c := must(f.listenPacket(network, address)).(datagrams)
	t.Cleanup(func() { c.Close() })
	check(c.SetDeadline(time.Now().Add(patience)))
	return c
}

// Several goroutines serve one socket, and each client gets its own answers.
func testEcho(t *testing.T, w world) {
	server := open(t, w.far, "udp", at(w.farAddr, 0))
	var serving, calling sync.WaitGroup
	for range 3 {
		serving.Go(func() {
			p := make([]byte, 100)
			for {
				n, from, err := server.ReadFromUDPAddrPort(p)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					_, err = server.WriteToUDPAddrPort(p[:n], from)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 4 {
		client := open(t, w.near, "udp", at(w.nearAddr, 0))
		calling.Go(func() {
			for j := range 50 {
				want := fmt.Appendf(nil, "%d of %d", j, i)
				got := make([]byte, 100)
				_, err := client.WriteTo(want, server.LocalAddr())
				n, from, rerr := client.ReadFrom(got)
				if err != nil || rerr != nil || !bytes.Equal(got[:n], want) || from.String() != server.LocalAddr().String() {
					t.Errorf("sent %q (%v), got %q from %v (%v)", want, err, got[:n], from, rerr)
					return
				}
			}
		})
	}
	calling.Wait()
	server.Close()
	serving.Wait()
}

// Every method at once, and then Close: what comes of it may be nonsense, but
// every call returns.
func testConcurrent(t *testing.T, w world) {
	for _, c := range []net.Conn{
		open(t, w.near, "udp", at(w.nearAddr, 0)),
		must(w.near.dial(ctx, dialing{}, "udp", open(t, w.far, "udp", at(w.farAddr, 0)).LocalAddr().String())),
	} {
		c := c.(datagrams)
		var wg sync.WaitGroup
		for range 8 {
			for _, f := range []func(){
				func() { c.Read(make([]byte, 10)) },
				func() { c.ReadFrom(make([]byte, 10)) },
				func() { c.ReadFromUDPAddrPort(make([]byte, 10)) },
				func() { c.Write([]byte("x")) },
				func() { c.WriteTo([]byte("x"), c.LocalAddr()) },
				func() { c.WriteToUDPAddrPort(nil, addrPort(c.LocalAddr())) },
				func() { c.SetDeadline(time.Now().Add(time.Millisecond)) },
				func() { c.SetReadDeadline(time.Now().Add(time.Hour)) },
				func() { c.SetWriteDeadline(time.Time{}) },
				func() { c.SetReadBuffer(1 << 16) },
				func() { c.LocalAddr(); c.RemoteAddr() },
			} {
				wg.Go(func() {
					for range 5 {
						f()
					}
				})
			}
		}
		time.Sleep(5 * time.Millisecond)
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		wg.Wait()
	}
}

func testCloseUnblocks(t *testing.T, w world) {
	far := open(t, w.far, "udp", at(w.farAddr, 0))
	for _, c := range []net.Conn{
		open(t, w.near, "udp", at(w.nearAddr, 0)),
		must(w.near.dial(ctx, dialing{}, "udp", far.LocalAddr().String())),
	} {
		check(c.SetDeadline(time.Time{}))
		errs := make(chan error)
		for range 5 {
			go func() {
				_, err := c.Read(make([]byte, 1))
				errs <- err
			}()
			go func() {
				_, _, err := c.(net.PacketConn).ReadFrom(nil)
				errs <- err
			}()
		}
		time.Sleep(time.Millisecond)
		check(c.Close())
		for range 10 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
	}
}

// What one sends to one arrives in order, whole, and with its boundaries.
func testOrder(t *testing.T, w world) {
	to, from := open(t, w.far, "udp", at(w.farAddr, 0)), open(t, w.near, "udp", at(w.nearAddr, 0))
	p := make([]byte, 1<<16)
	for i := range 100 {
		size := i * i * 6 // some in fragments
		sent := bytes.Repeat([]byte{byte(i)}, size)
		must(from.WriteTo(sent, to.LocalAddr()))
		if i%2 == 0 {
			continue
		}
		for j := i - 1; j <= i; j++ { // two are on their way
			n, err := to.Read(p)
			if want := bytes.Repeat([]byte{byte(j)}, j*j*6); err != nil || !bytes.Equal(p[:n], want) {
				t.Fatalf("datagram %d: %d bytes, %v", j, n, err)
			}
		}
	}
}

// A receiver that does not read loses datagrams, and nothing else happens.
func testFull(t *testing.T, w world) {
	to, from := open(t, w.far, "udp", at(w.farAddr, 0)), open(t, w.near, "udp", at(w.nearAddr, 0))
	check(to.SetReadBuffer(1))
	for i := range 1000 {
		if n, err := from.WriteTo(make([]byte, 1000), to.LocalAddr()); n != 1000 || err != nil {
			t.Fatalf("datagram %d: %d, %v", i, n, err)
		}
	}
	p := make([]byte, 1000)
	got := 0
	for end := time.Now().Add(patience); ; {
		check(to.SetReadDeadline(time.Now().Add(soon)))
		n, err := to.Read(p)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(end): // there is room again
			must(from.WriteTo([]byte("x"), to.LocalAddr()))
			continue
		case n == 1000 && err == nil:
			got++
			continue
		case n != 1 || err != nil:
			t.Errorf("Read: %d, %v", n, err)
		case got == 0 || got == 1000:
			t.Errorf("%d of 1000 datagrams arrived", got)
		}
		return
	}
}

func testConnected(t *testing.T, w world) {
	far := open(t, w.far, "udp", at(w.farAddr, 0))
	local := addrPort(open(t, w.near, "udp", at(w.nearAddr, 0)).LocalAddr())
	c, err := w.near.dial(ctx, dialing{local: netip.AddrPortFrom(w.nearAddr, local.Port()+1), udp: true}, "udp", far.LocalAddr().String())
	if errors.Is(err, syscall.EADDRINUSE) { // somebody has the next port
		c, err = w.near.dial(ctx, dialing{local: netip.AddrPortFrom(w.nearAddr, 0), udp: true}, "udp", far.LocalAddr().String())
	}
	check(err)
	defer c.Close()
	if c.RemoteAddr().String() != far.LocalAddr().String() || addrPort(c.LocalAddr()).Addr() != w.nearAddr {
		t.Errorf("from %v to %v", c.LocalAddr(), c.RemoteAddr())
	}
	must(c.Write([]byte("x")))
	if _, from, err := far.ReadFrom(make([]byte, 1)); err != nil || from.String() != c.LocalAddr().String() {
		t.Errorf("from %v, %v", from, err)
	}
	must(far.WriteTo([]byte("y"), c.LocalAddr()))
	if _, from, err := c.(net.PacketConn).ReadFrom(make([]byte, 1)); err != nil || from.String() != far.LocalAddr().String() {
		t.Errorf("from %v, %v", from, err)
	}
}

// Where nobody listens any more a connected socket learns of it, each time.
func testRefused(t *testing.T, w world) {
	far := open(t, w.far, "udp", at(w.farAddr, 0))
	c := must(w.near.dial(ctx, dialing{}, "udp", far.LocalAddr().String()))
	defer c.Close()
	check(c.SetDeadline(time.Now().Add(patience)))
	far.Close()
	for range 3 { // of more than a few a second nobody says anything
		err := error(nil)
		for end := time.Now().Add(patience); err == nil && time.Now().Before(end); {
			if _, err = c.Write([]byte("x")); err != nil {
				break
			}
			check(c.SetReadDeadline(time.Now().Add(soon)))
			if _, err = c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				err = nil
			}
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("got %v", err)
		}
	}
	check(c.SetDeadline(time.Now().Add(patience)))
	again := open(t, w.far, "udp", far.LocalAddr().String())
	if _, err := c.Write([]byte("x")); err != nil { // an answer to an earlier one
		must(c.Write([]byte("x")))
	}
	if n, err := again.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("when somebody listens again: %d, %v", n, err)
	}
}

func testBroadcast(t *testing.T, w world) {
	if !w.broadcast.IsValid() {
		t.Skip("there is no broadcast")
	}
	far := open(t, w.far, "udp4", ":0")
	from := open(t, w.near, "udp4", at(w.nearAddr, 0))
	to := netip.AddrPortFrom(w.broadcast, addrPort(far.LocalAddr()).Port())
	if n, err := from.WriteToUDPAddrPort([]byte("all"), to); n != 3 || err != nil {
		t.Fatalf("WriteTo: %d, %v", n, err)
	}
	if n, addr, err := far.ReadFromUDPAddrPort(make([]byte, 9)); n != 3 || err != nil || addr != addrPort(from.LocalAddr()) {
		t.Errorf("ReadFrom: %d from %v, %v", n, addr, err)
	}
	c, err := w.near.dial(ctx, dialing{}, "udp4", to.String())
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	defer c.Close()
	if n, err := c.Write([]byte("y")); n != 1 || err != nil {
		t.Errorf("Write, connected: %d, %v", n, err)
	}
	if n, err := far.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("Read of it: %d, %v", n, err)
	}
}
