package stack

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// named returns an op that counts in done when it is complete.
func named(s api.Socket, done *atomic.Int64) *api.Op {
	op := api.NewOp()
	op.Kind, op.Sock = api.KindName, s
	op.Done = func(*api.Op) { done.Add(1) }
	return op
}

// A turn executes a bounded number of ops, and a closed host has nobody who would
// see to the rest later.
func TestCloseEndsAllThatWasPosted(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := socketOf(t, h, api.UDP4)
	var done atomic.Int64
	const posted = 100 * turnTasks
	h.turn.Lock() // so that posting is all that Submit does
	for range posted {
		h.Submit(named(s, &done))
	}
	h.turn.Unlock()
	h.Close()
	if n := done.Load(); n != posted {
		t.Errorf("%d of %d ops are complete after Close", n, posted)
	}
}

// Posting races with Close: whether the host still executes an op or not, it
// completes.
func TestPostRacesWithClose(t *testing.T) {
	for range 50 {
		h, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		s := socketOf(t, h, api.UDP4)
		var done atomic.Int64
		var posted sync.WaitGroup
		const posters, each = 8, 500
		for range posters {
			posted.Go(func() {
				for range each {
					h.Submit(named(s, &done))
				}
			})
		}
		if err := h.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		posted.Wait()
		// The last one may have left its op to one that is still in a turn.
		for end := time.Now().Add(patience); done.Load() < posters*each; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d of %d ops are complete", done.Load(), posters*each)
			}
		}
	}
}
