package sql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// A world is a pool and a server on a cable, in virtual time.
type world struct {
	*testing.T
	name           string
	server, client *ringtail.Host
	s              *server
	db             *sql.DB
}

// hours runs a test in a bubble. The pool has eight connections, all open, that
// send keep-alives as package net's do (a negative period: none).
func hours(t *testing.T, keepAlive time.Duration, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, name: t.Name()}
		w.server = w.host("server", "10.0.0.1/24", "02:00:00:00:00:01")
		w.client = w.host("client", "10.0.0.2/24", "02:00:00:00:00:02")
		w.serve()
		d := api.Dialer{Net: w.client.Net(), KeepAlive: keepAlive}
		w.db = open(t, 8, func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", "10.0.0.1:5432") })
		fill(t, w.db)
		test(w)
	})
}

func (w *world) host(name, addr, mac string) *ringtail.Host {
	return rig.Open(w, ringtail.Config{HAL: "cable:" + w.name + "?mac=" + mac, Name: name}, addr).Host
}

// serve starts the server on the server's host, until the test ends.
func (w *world) serve() {
	c := api.ListenConfig{Net: w.server.Net(), KeepAlive: -1} // the pool's are to be seen alone
	ln, err := c.Listen(w.Context(), "tcp", ":5432")
	if err != nil {
		w.Fatal(err)
	}
	w.s = start(ln)
	w.Cleanup(w.s.stop)
}

// ask makes a query, returns the number of its connection, and checks that no
// time passes, but for what packets need on their way.
func (w *world) ask(text string) string {
	w.Helper()
	begin := time.Now()
	number, err := query(w.Context(), w.db, text)
	if took := time.Since(begin); err != nil || took > time.Second {
		w.Errorf("query %q: %v, after %v", text, err, took)
	}
	return number
}

// Hours of silence cost nothing but probes, and the connections live.
func TestIdle(t *testing.T) {
	hours(t, 0, func(w *world) {
		before := w.client.Stats().TCP.SegmentsOut
		const span = 6 * time.Hour
		time.Sleep(span)
		probes := w.client.Stats().TCP.SegmentsOut - before
		if want := uint64(8 * span / (15 * time.Second)); probes < want*9/10 || probes > want*11/10 {
			t.Errorf("%d segments in %v, want about %d: a probe of each connection every 15 s", probes, span, want)
		}
		for i := range 20 {
			w.ask(fmt.Sprint(i))
		}
		if open, total, _ := w.s.state(); open != 8 || total != 8 {
			t.Errorf("the server saw %d connections, and has %d: the eight of before must be used", total, open)
		}
	})
}

// What the pool closes because it was idle for too long is closed at the server.
func TestIdleTime(t *testing.T) {
	hours(t, 0, func(w *world) {
		w.db.SetConnMaxIdleTime(10 * time.Minute)
		time.Sleep(time.Hour)
		if open, _, err := w.s.state(); open != 0 || err != nil {
			t.Errorf("%d idle connections are still open, %v", open, err)
		}
		w.ask("x")
	})
}

// The cable is cut for an hour. Keep-alives find that out while nobody asks: then
// the first query finds a bad connection at once, and gets a new one.
func TestCutCable(t *testing.T) {
	hours(t, 0, func(w *world) {
		mend := cut(w.name)
		time.Sleep(time.Hour)
		mend()
		w.ask("x")
		if _, total, _ := w.s.state(); total != 9 {
			t.Errorf("the server saw %d connections, want 8 and a new one", total)
		}
	})
}

// Without keep-alives nobody notices, and the connections are as good as before.
func TestCutCableUnnoticed(t *testing.T) {
	hours(t, -1, func(w *world) {
		mend := cut(w.name)
		time.Sleep(time.Hour)
		mend()
		w.ask("x")
		if _, total, _ := w.s.state(); total != 8 {
			t.Errorf("the server saw %d connections, want the 8 of before", total)
		}
	})
}

// A connection that has been given up says so by its errno.
func TestGivenUp(t *testing.T) {
	hours(t, 0, func(w *world) {
		c, err := w.client.Net().Dial("tcp", "10.0.0.1:5432")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		mend := cut(w.name)
		defer mend()
		begin := time.Now()
		_, err = c.Read(make([]byte, 1))
		// As on Linux, what the neighbour's silence says is more than ETIMEDOUT.
		silent := errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ETIMEDOUT)
		if took := time.Since(begin); !silent || took < 2*time.Minute || took > 3*time.Minute {
			t.Errorf("a read of a dead connection: %v after %v, want EHOSTUNREACH after 15 s and 9 probes", err, took)
		}
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("a write to a dead connection succeeds")
		}
	})
}

// The server's machine goes away without a word, and comes back knowing nothing.
func TestCrash(t *testing.T) {
	hours(t, -1, func(w *world) {
		mend := cut(w.name)
		w.s.stop()
		w.server.Close()
		time.Sleep(time.Minute)
		mend()
		w.server = w.host("reborn", "10.0.0.1/24", "02:00:00:00:00:01")
		w.serve()
		for i := range 20 {
			w.ask(fmt.Sprint(i))
		}
		if open, _, _ := w.s.state(); open < 1 {
			t.Errorf("%d connections", open)
		}
	})
}
