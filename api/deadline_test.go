package api_test

import (
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/stack"
)

// A handClock is a stub whose time is moved by hand.
type handClock struct {
	stub
	mu    sync.Mutex
	now   time.Time
	asked func() // called when somebody asks for the time
	armed []*handTimer
}

type handTimer struct {
	c    *handClock
	when time.Time
	f    func()
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	now, asked := c.now, c.asked
	c.asked = nil
	c.mu.Unlock()
	if asked != nil {
		asked()
	}
	return now
}

func (c *handClock) AfterFunc(d time.Duration, f func()) api.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &handTimer{c, c.now.Add(d), f}
	c.armed = append(c.armed, t)
	return t
}

func (t *handTimer) Stop() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	for i, a := range t.c.armed {
		if a == t {
			t.c.armed = append(t.c.armed[:i], t.c.armed[i+1:]...)
			return true
		}
	}
	return false
}

// step moves the time, in either direction, and calls what is due.
func (c *handClock) step(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	now, armed := c.now, c.armed
	c.armed = nil
	var due []*handTimer
	for _, t := range armed {
		if t.when.After(now) {
			c.armed = append(c.armed, t)
		} else {
			due = append(due, t)
		}
	}
	c.mu.Unlock()
	for _, t := range due {
		t.f()
	}
}

func (c *handClock) timers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.armed)
}

// Deadlines are by the transport's clock, whatever the wall's says.
func TestDeadlineByTheTransportsClock(t *testing.T) {
	clock := &handClock{now: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)}
	l := api.New(clock, api.Config{})
	defer l.Exit()
	c := must1(l.Net().ListenPacket("udp", "127.0.0.1:0"))
	clock.stub.mu.Lock()
	clock.hold = true
	clock.stub.mu.Unlock()
	read := func() chan error {
		err := make(chan error, 1)
		go func() {
			_, _, e := c.ReadFrom(make([]byte, 1))
			err <- e
		}()
		return err
	}
	pending := func(what string, err chan error) {
		t.Helper()
		select {
		case e := <-err:
			t.Fatalf("%s: the read ended: %v", what, e)
		case <-time.After(5 * time.Millisecond):
		}
	}
	over := func(what string, err chan error) {
		t.Helper()
		faces{T: t}.fails(what, <-err, os.ErrDeadlineExceeded, true)
	}
	must(c.SetReadDeadline(clock.Now().Add(time.Hour))) // long ago, by the wall's
	err := read()
	pending("an hour to go", err)
	clock.step(59 * time.Minute)
	pending("a minute to go", err)
	clock.step(-24 * time.Hour)
	pending("the clock was put back", err)
	clock.step(24*time.Hour + time.Minute)
	over("an hour later", err)
	over("still", read())
	must(c.SetReadDeadline(clock.Now().Add(time.Second)))
	err = read()
	pending("a second to go", err)
	clock.step(365 * 24 * time.Hour)
	over("the clock was put forward", err)
	must(c.SetReadDeadline(clock.Now()))
	over("now", read())
	if n := clock.timers(); n != 0 {
		t.Errorf("%d timers are left", n)
	}
}

// A deadline that is set while the connection is closed leaves no timer behind.
func TestDeadlineRacesWithClose(t *testing.T) {
	clock := &handClock{now: time.Now()}
	l := api.New(clock, api.Config{})
	defer l.Exit()
	for name, set := range map[string]func(net.Conn, time.Time) error{
		"SetDeadline": net.Conn.SetDeadline, "SetReadDeadline": net.Conn.SetReadDeadline, "SetWriteDeadline": net.Conn.SetWriteDeadline,
	} {
		c := must1(l.Net().Dial("tcp", "127.0.0.1:1"))
		at := clock.Now().Add(time.Hour)
		clock.mu.Lock()
		clock.asked = func() { must(c.Close()) } // in the middle of it
		clock.mu.Unlock()
		if err := set(c, at); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: it was not closed meanwhile: %v", name, err)
		}
		if n := clock.timers(); n != 0 {
			t.Errorf("%s: %d timers are left", name, n)
		}
	}
}

// A host whose time is somebody else's keeps deadlines by that.
func TestDeadlineByTheHostsClock(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	step := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	h := must1(stack.New(stack.Config{Sim: &stack.Sim{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}}}))
	l := api.New(h, api.Config{})
	defer l.Exit()
	c := must1(l.Net().ListenPacket("udp", "127.0.0.1:0"))
	must(c.SetReadDeadline(h.Now().Add(time.Hour)))
	err := make(chan error, 1)
	go func() {
		_, _, e := c.ReadFrom(make([]byte, 1))
		err <- e
	}()
	for _, minutes := range []time.Duration{30, 29} {
		step(minutes * time.Minute)
		h.Turn()
		select {
		case e := <-err:
			t.Fatalf("too early: %v", e)
		case <-time.After(5 * time.Millisecond):
		}
	}
	step(time.Minute)
	h.Turn()
	faces{T: t}.fails("ReadFrom", <-err, os.ErrDeadlineExceeded, true)
}
