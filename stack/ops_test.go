package stack

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// soon runs f, which takes no time worth mentioning however many ops there are,
// and in which a search for each of them would take minutes.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Errorf("%s: it is not over after %v", what, patience)
		<-done
	}
}

// eventually waits for what another goroutine brings about.
func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come about")
		}
	}
}

// Whose op is cancelled does not wait for a search among those of the others.
func TestCancelOfMany(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	s := socketOf(t, h, api.UDP4)
	var done atomic.Int64
	tickets := make([]api.Ticket, 100_000)
	for i := range tickets {
		op := api.NewOp()
		op.Kind, op.Sock, op.Max = api.KindRead, s, 1
		op.Done = func(*api.Op) { done.Add(1) }
		tickets[i] = op.Ticket()
		h.Submit(op)
	}
	soon(t, "cancelling, the youngest first", func() {
		for i := range tickets {
			h.Cancel(tickets[len(tickets)-1-i], syscall.ECANCELED)
		}
	})
	eventually(t, func() bool { return done.Load() == int64(len(tickets)) }) // the last may be left to the host's own goroutine
}
