package stack

import (
	"math/rand/v2"
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

// The mailbox keeps its order, however much is posted between the times that it is
// taken from, and nothing that was taken.
func TestMailbox(t *testing.T) {
	var m mailbox
	rnd := rand.New(rand.NewPCG(1, 2))
	var posted, taken uint64
	for range 1000 {
		for range rnd.IntN(200) {
			op := new(api.Op)
			op.Seq = posted
			posted++
			m.post(task{op: op})
		}
		for _, got := range m.take(nil, rnd.IntN(200)) {
			if got.op.Seq != taken {
				t.Fatalf("task %d was taken instead of %d", got.op.Seq, taken)
			}
			taken++
		}
		if n := m.count.Load(); n != int64(posted-taken) {
			t.Fatalf("%d tasks are left of %d", n, posted-taken)
		}
	}
	for len(m.take(nil, turnTasks)) > 0 {
	}
	for i, left := range m.tasks[:cap(m.tasks)] {
		if left != (task{}) {
			t.Fatalf("task %d of %d is kept", i, cap(m.tasks))
		}
	}
}

// What a long mailbox holds is not moved for every task that is taken.
func TestMailboxOfMany(t *testing.T) {
	var m mailbox
	const count = 1_000_000
	for range count {
		m.post(task{})
	}
	soon(t, "taking", func() {
		taken, into := 0, make([]task, 0, turnTasks)
		for m.count.Load() > 0 {
			taken += len(m.take(into, turnTasks))
		}
		if taken != count {
			t.Errorf("%d of %d tasks were taken", taken, count)
		}
	})
}
