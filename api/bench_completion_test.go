package api_test

import (
	"strconv"
	"testing"

	"github.com/ringtail-net/ringtail/api"
)

// A carousel is a transport without a network, for the cost of the face alone:
// writes complete at once, reads wait in a ring, and step completes the one that
// has waited for longest, with one byte.
type carousel struct {
	stub
	waiting []*api.Op
	next    int
}

func (t *carousel) Submit(op *api.Op) {
	if op.Kind != api.KindRead {
		t.stub.Submit(op)
		return
	}
	t.waiting[t.next] = op
}

func (t *carousel) step() {
	t.next++
	if t.next == len(t.waiting) {
		t.next = 0
	}
	t.stub.execute(t.waiting[t.next])
}

// outstanding is how many tokens there are in the benchmarks of completions.
var outstanding = []int{10, 1000, 10_000}

// idle makes n queues with a pop each.
func idle(n int) (l *api.LibOS, t *carousel, ids []api.Token) {
	t = &carousel{waiting: make([]*api.Op, n)}
	l = api.New(t, api.Config{})
	for t.next = range n {
		ids = append(ids, must1(l.Pop(must1(l.Socket(api.TCP)))))
	}
	return l, t, ids
}

// leave ends the pops that wait. The stub does not know them.
func (t *carousel) leave(l *api.LibOS) {
	for range t.waiting {
		t.step()
	}
	drain(l)
	must(l.Exit())
}

// The cost of a completion, with the pop and the memory that belong to it, does
// not depend on how many tokens are outstanding. WaitAny is there for contrast:
// it looks at every token that it is given.
func BenchmarkCompletion(b *testing.B) {
	for _, n := range outstanding {
		b.Run("Completions/"+strconv.Itoa(n), func(b *testing.B) {
			l, t, _ := idle(n)
			defer t.leave(l)
			b.ReportAllocs()
			b.ResetTimer()
			left := b.N
			t.step()
			for c := range l.Completions(ctx) {
				c.SGA.Free()
				must1(l.Pop(c.QD))
				if left--; left == 0 {
					break
				}
				t.step()
			}
		})
	}
	for _, n := range outstanding {
		b.Run("WaitAny/"+strconv.Itoa(n), func(b *testing.B) {
			l, t, ids := idle(n)
			defer t.leave(l)
			b.ReportAllocs()
			for b.Loop() {
				t.step()
				i, c, err := l.WaitAny(ctx, ids)
				must(err)
				c.SGA.Free()
				ids[i] = must1(l.Pop(c.QD))
			}
		})
	}
}

// Nothing is allocated for an op, also where thousands wait.
func TestNoAllocationsManyTokens(t *testing.T) {
	if raceEnabled {
		t.Skip("pools are not deterministic under the race detector")
	}
	l, c, _ := idle(1000)
	defer c.leave(l)
	var out [1]api.Completion
	again := func() {
		out[0].SGA.Free()
		must1(l.Pop(out[0].QD))
	}
	for _, test := range []struct {
		name string
		op   func()
	}{
		{"WaitNext", func() {
			c.step()
			must1(l.WaitNext(ctx, out[:]))
			again()
		}},
		{"Poll", func() {
			c.step()
			if l.Poll(out[:]) != 1 {
				t.Fatal("nothing to poll for")
			}
			again()
		}},
		{"Drop", func() {
			must(l.Drop(must1(l.Push(out[0].QD, api.SGA{}))))
		}},
		{"Alloc", func() { l.Alloc(1000).Free() }},
	} {
		test.op()
		if n := testing.AllocsPerRun(1000, test.op); n != 0 {
			t.Errorf("%s: %v allocations", test.name, n)
		}
	}
}
