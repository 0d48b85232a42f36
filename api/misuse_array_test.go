package api_test

import (
	"context"
	"errors"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
)

var misuseOfArrays = []misuse{
	{call: "alloc", name: "size 0", demikernel: works, linux: errNone, ours: works,
		why: "an array without segments",
		run: func(w *world) (api.QD, error) { return 0, w.empty(w.lib.Alloc(0)) }},
	{call: "alloc", name: "size negative", demikernel: errNone, linux: errNone, ours: works,
		why: "as with size 0",
		run: func(w *world) (api.QD, error) { return 0, w.empty(w.lib.Alloc(-1)) }},

	{call: "free", name: "twice", demikernel: errNone, linux: errNone, ours: errCounted,
		why: "it may be somebody else's by now",
		run: func(w *world) (api.QD, error) {
			s := w.lib.Alloc(5)
			s.Free()
			return 0, w.counts(s.Free)
		}},
	{call: "free", name: "during a push", demikernel: works, linux: errNone, ours: errCounted,
		why: "the push has borrowed it; there references are counted",
		run: func(w *world) (api.QD, error) {
			push := must1(w.lib.Push(w.connecting(), w.alloc())) // it waits
			err := w.counts(w.allocated.Free)
			must(w.lib.Cancel(push))
			wait(w, w.lib, push)
			return 0, err
		}},
	{call: "free", name: "the zero array", demikernel: syscall.EINVAL, linux: errNone, ours: works,
		why: "a completion without bytes has one",
		run: func(w *world) (api.QD, error) { return 0, w.counts(api.SGA{}.Free) }},
	{call: "free", name: "the caller's own memory", demikernel: errNone, linux: errNone, ours: works,
		why: "so that nobody has to know",
		run: func(w *world) (api.QD, error) { return 0, w.counts(sga(5).Free) }},
}

// empty checks that an array is.
func (w *world) empty(s api.SGA) error {
	if s.Len() != 0 || len(s.Segs) != 0 {
		w.Errorf("it has %d bytes in %d segments", s.Len(), len(s.Segs))
	}
	s.Free()
	return nil
}

// counts says whether something was counted as misuse of memory.
func (w *world) counts(f func()) error {
	before := w.lib.Stats().Misused
	if f(); w.lib.Stats().Misused != before {
		return errCounted
	}
	return nil
}

var misuseOfDrops = []misuse{
	{call: "drop", name: "no such token", demikernel: errNone, linux: errNone, ours: syscall.EINVAL,
		why: "as with wait",
		run: func(w *world) (api.QD, error) { return 0, w.lib.Drop(1<<40 + 7) }},
	{call: "drop", name: "token of a completion that was taken", demikernel: errNone, linux: errNone, ours: syscall.EINVAL,
		why: "as with wait",
		run: func(w *world) (api.QD, error) { return 0, w.lib.Drop(w.taken()) }},
	{call: "drop", name: "twice", demikernel: errNone, linux: errNone, ours: syscall.EINVAL,
		why: "the token is void at once",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			id := must1(w.lib.Pop(qd))
			must(w.lib.Drop(id))
			err := w.lib.Drop(id)
			must(w.lib.Close(qd)) // which ends the pop
			return 0, err
		}},
	{call: "drop", name: "an op that is done", demikernel: errNone, linux: errNone, ours: works,
		why: "nobody can know in time; its completion is thrown away",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			id := must1(w.lib.PushTo(qd, sga(5), w.nothing()))
			w.local(qd) // ops are executed in order
			err := w.lib.Drop(id)
			if n := w.lib.Poll(make([]api.Completion, 1)); n != 0 {
				w.Error("its completion is there")
			}
			return qd, err
		}},
	{call: "drop", name: "a token that another waits for", demikernel: errNone, linux: errNone, ours: syscall.EBUSY,
		why: "the completion is that waiter's",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			id := must1(w.lib.Pop(qd))
			limited, cancel := context.WithCancel(ctx)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for { // until it is not we who wait
					if _, err := w.lib.Wait(limited, id); !errors.Is(err, syscall.EBUSY) {
						return
					}
				}
			}()
			defer func() { cancel(); <-done }()
			for {
				if _, err := w.lib.Wait(ended, id); errors.Is(err, syscall.EBUSY) {
					return qd, w.lib.Drop(id)
				}
			}
		}},
	{call: "drop", name: "one of two pushes of the same memory", demikernel: errNone, linux: errNone, ours: syscall.EBUSY,
		why: "the other would give back what is gone",
		run: func(w *world) (api.QD, error) {
			qd, s := w.connecting(), w.alloc()
			first, second := must1(w.lib.Push(qd, s)), must1(w.lib.Push(qd, s))
			err := w.lib.Drop(first)
			for _, id := range []api.Token{first, second} {
				must(w.lib.Cancel(id))
				wait(w, w.lib, id)
			}
			return qd, err
		}},
}
