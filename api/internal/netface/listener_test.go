package netface

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestListenerBehaviour is what a listener does with many connections. What its
// single calls return is in the table.
func TestListenerBehaviour(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		for name, test := range map[string]func(*testing.T, world){
			"full":             testBacklogFull,
			"pending accepts":  testPendingAccepts,
			"many":             testManyAccepts,
			"closed meanwhile": testClosedMeanwhile,
			"again":            testListenAgain,
		} {
			t.Run(name, func(t *testing.T) { test(t, w) })
		}
	})
}

// One more than the backlog says may wait; whoever comes then waits in vain, until
// one is accepted.
func testBacklogFull(t *testing.T, w world) {
	ln := must(w.near.listen("tcp", at(w.nearAddr, 0), 2))
	defer ln.Close()
	dial := func() (net.Conn, error) {
		c, err := w.far.dial(ctx, dialing{timeout: 5 * soon}, "tcp", ln.Addr().String())
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return c, err
	}
	for i := range 3 {
		if _, err := dial(); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	if c, err := dial(); err == nil || !err.(net.Error).Timeout() {
		t.Errorf("one too many: %v, %v", c, err)
	}
	must(ln.Accept()).Close()
	if _, err := dial(); err != nil {
		t.Errorf("when there is room: %v", err)
	}
	for i := range 3 {
		c, err := ln.Accept()
		if err != nil {
			t.Fatalf("Accept %d: %v", i, err)
		}
		c.Close()
	}
}

// Close ends accepts that wait, each with net.ErrClosed.
func testPendingAccepts(t *testing.T, w world) {
	ln := must(w.near.listen("tcp", at(w.nearAddr, 0), 0))
	errs := make(chan error)
	for range 10 {
		go func() {
			_, err := ln.Accept()
			errs <- err
		}()
	}
	time.Sleep(time.Millisecond)
	check(ln.Close())
	for range 10 {
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
	}
}

// Several accept, and each connection is accepted by one of them.
func testManyAccepts(t *testing.T, w world) {
	const acceptors, dialers, each = 4, 4, 25
	ln := must(w.near.listen("tcp", at(w.nearAddr, 0), 0))
	var accepting, dialling sync.WaitGroup
	var accepted atomic.Int64
	for range acceptors {
		accepting.Go(func() {
			for {
				c, err := ln.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("Accept: %v", err)
					return
				}
				accepted.Add(1)
				if _, err := c.Write([]byte("x")); err != nil {
					t.Errorf("Write: %v", err)
				}
				c.Close()
			}
		})
	}
	for range dialers {
		dialling.Go(func() {
			for range each {
				c, err := w.far.dial(ctx, dialing{}, "tcp", ln.Addr().String())
				if err != nil {
					t.Errorf("Dial: %v", err)
					return
				}
				if n, err := c.Read(make([]byte, 2)); n != 1 || err != nil {
					t.Errorf("Read: %d, %v", n, err)
				}
				c.Close()
			}
		})
	}
	dialling.Wait()
	check(ln.Close())
	accepting.Wait()
	if n := accepted.Load(); n != dialers*each {
		t.Errorf("%d connections were accepted, of %d", n, dialers*each)
	}
}

// Who dials a listener that is being closed is accepted, refused or reset.
func testClosedMeanwhile(t *testing.T, w world) {
	for range 10 {
		ln := must(w.near.listen("tcp", at(w.nearAddr, 0), 0))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				c, err := w.far.dial(ctx, dialing{timeout: patience}, "tcp", ln.Addr().String())
				if err == nil {
					defer c.Close()
					check(c.SetDeadline(time.Now().Add(patience)))
					_, err = c.Read(make([]byte, 1))
				}
				if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("got %v", err)
				}
			})
		}
		time.Sleep(100 * time.Microsecond)
		check(ln.Close())
		wg.Wait()
	}
}

// The address of a listener that was closed can be listened on at once, also
// while its connections live.
func testListenAgain(t *testing.T, w world) {
	err := unlessTaken(func() error {
		address := at(w.nearAddr, 0)
		for range 5 {
			ln, err := w.near.listen("tcp", address, 0)
			if err != nil {
				return err
			}
			address = ln.Addr().String()
			far := must(w.far.dial(ctx, dialing{}, "tcp", address))
			near := must(ln.Accept())
			t.Cleanup(func() { near.Close(); far.Close() })
			check(ln.Close())
			must(near.Write([]byte("x")))
			if n, err := far.Read(make([]byte, 2)); n != 1 || err != nil {
				t.Errorf("a connection of a closed listener: %d, %v", n, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
