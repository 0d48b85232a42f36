package api_test

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

var misuseOfClose = []misuse{
	{call: "close", name: "bad descriptor", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) { return badQD, w.lib.Close(badQD) }},
	{call: "close", name: "twice", demikernel: syscall.EBADF, linux: syscall.EBADF, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			must(w.lib.Close(qd))
			return qd, w.lib.Close(qd)
		}},
	{call: "close", name: "with ops pending", demikernel: works, linux: works, ours: works,
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			pop := must1(w.lib.Pop(qd))
			err := w.lib.Close(qd)
			wait(w, w.lib, pop)
			return qd, err
		}},
	{call: "close", name: "what becomes of a pop", op: "pop", demikernel: syscall.EBADF, linux: errWaits, page: "close(2)", ours: syscall.ECANCELED, late: true,
		why: "the descriptor was good when the pop began; on Linux it waits for ever",
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			pop := must1(w.lib.Pop(qd))
			must(w.lib.Close(qd))
			return qd, w.result(pop, nil)
		}},
	{call: "close", name: "what becomes of an accept", op: "accept", demikernel: syscall.EBADF, linux: errWaits, page: "close(2)", ours: syscall.ECANCELED, late: true,
		why: "as of a pop",
		run: func(w *world) (api.QD, error) {
			qd := w.listening()
			accept := must1(w.lib.Accept(qd))
			must(w.lib.Close(qd))
			return qd, w.result(accept, nil)
		}},
	{call: "close", name: "what becomes of a connect", op: "connect", demikernel: syscall.EBADF, linux: errWaits, page: "close(2)", ours: syscall.ECANCELED, late: true,
		why: "as of a pop",
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			connect := must1(w.lib.Connect(qd, netip.AddrPortFrom(w.silent, 9)))
			must(w.lib.Close(qd))
			return qd, w.result(connect, nil)
		}},

	{call: "asyncclose", name: "bad descriptor", op: "close", demikernel: syscall.EBADF, linux: errNone, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) { return badQD, w.result(w.lib.AsyncClose(badQD)) }},
	{call: "asyncclose", name: "unbound", op: "close", demikernel: works, linux: errNone, ours: works, late: true,
		run: func(w *world) (api.QD, error) { return w.asyncClose(w.tcp()) }},
	{call: "asyncclose", name: "bound", op: "close", demikernel: works, linux: errNone, ours: works, late: true,
		run: func(w *world) (api.QD, error) { return w.asyncClose(w.bound(api.TCP)) }},
	{call: "asyncclose", name: "listening", op: "close", demikernel: works, linux: errNone, ours: works, late: true,
		run: func(w *world) (api.QD, error) { return w.asyncClose(w.listening()) }},
	{call: "asyncclose", name: "what becomes of an accept", op: "accept", demikernel: syscall.EBADF, linux: errNone, ours: syscall.ECANCELED, late: true,
		why: "as with close",
		run: func(w *world) (api.QD, error) {
			qd := w.listening()
			accept := must1(w.lib.Accept(qd))
			must1(w.lib.AsyncClose(qd))
			return qd, w.result(accept, nil)
		}},
	{call: "asyncclose", name: "what becomes of a connect", op: "connect", demikernel: syscall.EBADF, linux: errNone, ours: syscall.ECANCELED, late: true,
		why: "as with close",
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			connect := must1(w.lib.Connect(qd, netip.AddrPortFrom(w.silent, 9)))
			must1(w.lib.AsyncClose(qd))
			return qd, w.result(connect, nil)
		}},
	{call: "asyncclose", name: "twice", op: "close", demikernel: works, linux: errNone, ours: syscall.EBADF,
		why: "the descriptor is void at once; there one of the two completes with EBADF",
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			first := must1(w.lib.AsyncClose(qd))
			_, err := w.lib.AsyncClose(qd)
			w.done(first, nil)
			return qd, err
		}},
	{call: "asyncclose", name: "after close", op: "close", demikernel: syscall.EBADF, linux: errNone, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) {
			qd := w.closed()
			return qd, w.result(w.lib.AsyncClose(qd))
		}},
	{call: "asyncclose", name: "then close", op: "close", demikernel: syscall.EBADF, linux: errNone, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) {
			qd := w.tcp()
			must1(w.lib.AsyncClose(qd))
			return qd, w.lib.Close(qd)
		}},
	{call: "asyncclose", name: "then push, before it is done", op: "push", demikernel: syscall.EBADF, linux: errNone, ours: syscall.EBADF,
		run: func(w *world) (api.QD, error) {
			qd, _ := w.connected()
			must1(w.lib.AsyncClose(qd))
			return w.push(qd)
		}},
}

// asyncClose closes, and waits until that is done.
func (w *world) asyncClose(qd api.QD) (api.QD, error) {
	return qd, w.result(w.lib.AsyncClose(qd))
}

var misuseOfTokens = []misuse{
	{call: "wait", name: "no such token", demikernel: syscall.EINVAL, linux: errNone, ours: syscall.EINVAL,
		run: func(w *world) (api.QD, error) {
			_, err := w.lib.Wait(ctx, 1<<40+7)
			return 0, err
		}},
	{call: "wait", name: "token 0", demikernel: syscall.EINVAL, linux: errNone, ours: syscall.EINVAL,
		run: func(w *world) (api.QD, error) {
			_, err := w.lib.Wait(ctx, 0)
			return 0, err
		}},
	{call: "wait", name: "no token at all", demikernel: errWaits, linux: errWaits, page: "poll(2)", ours: syscall.EINVAL,
		why: "it would wait for ever; there the timeout ends it",
		run: func(w *world) (api.QD, error) {
			_, _, err := w.lib.WaitAny(ctx, nil)
			return 0, err
		}},
	{call: "wait", name: "token of a completion that was taken", demikernel: syscall.EINVAL, linux: errNone, ours: syscall.EINVAL,
		run: func(w *world) (api.QD, error) {
			id := w.taken()
			_, err := w.lib.Wait(ctx, id)
			return 0, err
		}},
	{call: "wait", name: "one good token, one bad", demikernel: syscall.EINVAL, linux: errNone, ours: syscall.EINVAL,
		run: func(w *world) (api.QD, error) {
			good := must1(w.lib.Pop(w.udp()))
			_, _, err := w.lib.WaitAny(ctx, []api.Token{good, 0})
			must(w.lib.Cancel(good)) // the good one is still good
			wait(w, w.lib, good)
			return 0, err
		}},
	{call: "wait", name: "the same token twice in one call", demikernel: errNone, linux: errNone, ours: syscall.EINVAL,
		why: "it has one completion",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			id := must1(w.lib.Pop(qd))
			_, _, err := w.lib.WaitAny(ctx, []api.Token{id, id})
			return qd, err
		}},
	{call: "wait", name: "a token that another waits for", demikernel: errNone, linux: errNone, ours: syscall.EBUSY,
		why: "Demikernel has one thread; a completion is for one waiter",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			id := must1(w.lib.Pop(qd))
			first, cancel := context.WithCancel(ctx)
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := w.lib.Wait(first, id)
				done <- err
			}()
			for {
				if _, err := w.lib.Wait(ended, id); err != context.Canceled {
					return qd, err
				}
				select {
				case err := <-done: // it came while we asked
					return qd, err
				default: // it is not there yet
				}
			}
		}},
	{call: "wait", name: "token of another LibOS", demikernel: errNone, linux: errNone, ours: syscall.EINVAL,
		why: "but a LibOS may have one of the same number",
		run: func(w *world) (api.QD, error) {
			other := api.New(&stub{hold: true}, api.Config{Strict: true})
			defer other.Exit()
			var id api.Token
			for range 100 {
				id = must1(other.Pop(must1(other.Socket(api.UDP))))
			}
			_, err := w.lib.Wait(ctx, id)
			return 0, err
		}},
	{call: "wait", name: "until the context ends", bare: true, demikernel: syscall.ETIMEDOUT, linux: errNone, ours: context.DeadlineExceeded,
		why: "it is the context's own error, and the token stays good",
		run: func(w *world) (api.QD, error) {
			id := must1(w.lib.Pop(w.udp()))
			limited, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			_, err := w.lib.Wait(limited, id)
			must(w.lib.Cancel(id))
			wait(w, w.lib, id)
			return 0, err
		}},

	{call: "waitall", name: "no token at all", demikernel: errNone, linux: errNone, ours: works,
		why: "all of none are done",
		run: func(w *world) (api.QD, error) {
			_, err := w.lib.WaitAll(ctx, nil)
			return 0, err
		}},
	{call: "waitall", name: "one good token, one bad", op: "wait", demikernel: errNone, linux: errNone, ours: syscall.EINVAL,
		why: "as with wait",
		run: func(w *world) (api.QD, error) {
			good := must1(w.lib.AsyncClose(w.tcp()))
			_, err := w.lib.WaitAll(ctx, []api.Token{good, 0})
			w.done(good, nil) // the good one is still good
			return 0, err
		}},
	{call: "waitnext", name: "room for no completion", demikernel: syscall.EINVAL, linux: syscall.EINVAL, page: "epoll_wait(2)", ours: works,
		why: "nothing was asked for, and nothing comes, at once",
		run: func(w *world) (api.QD, error) {
			_, err := w.lib.WaitNext(ctx, nil)
			return 0, err
		}},
	{call: "poll", name: "room for no completion", demikernel: errNone, linux: errNone, ours: works,
		why: "as with waitnext",
		run: func(w *world) (api.QD, error) {
			if n := w.lib.Poll(nil); n != 0 {
				w.Errorf("it has taken %d", n)
			}
			return 0, nil
		}},
	{call: "poll", name: "nothing is pending", demikernel: errNone, linux: works, page: "poll(2)", ours: works,
		why: "it never waits",
		run: func(w *world) (api.QD, error) {
			if n := w.lib.Poll(make([]api.Completion, 1)); n != 0 {
				w.Errorf("it has taken %d", n)
			}
			return 0, nil
		}},

	{call: "cancel", name: "no such token", demikernel: errNone, linux: errNone, ours: syscall.EINVAL,
		why: "as with wait",
		run: func(w *world) (api.QD, error) { return 0, w.lib.Cancel(1<<40 + 7) }},
	{call: "cancel", name: "token of a completion that was taken", demikernel: errNone, linux: errNone, ours: syscall.EINVAL,
		why: "as with wait",
		run: func(w *world) (api.QD, error) { return 0, w.lib.Cancel(w.taken()) }},
	{call: "cancel", name: "an op that is done", demikernel: errNone, linux: errNone, ours: works,
		why: "nobody can know in time; the completion stays what it is",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			id := must1(w.lib.PushTo(qd, sga(5), w.nothing()))
			w.local(qd) // ops are executed in order
			err := w.lib.Cancel(id)
			if c := wait(w, w.lib, id); c.Err != nil {
				w.Errorf("the completion has become %v", c.Err)
			}
			return qd, err
		}},
	{call: "cancel", name: "what becomes of the op", op: "pop", demikernel: errNone, linux: errNone, ours: syscall.ECANCELED, late: true,
		why: "as POSIX has it for aio_cancel",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			id := must1(w.lib.Pop(qd))
			must(w.lib.Cancel(id))
			return qd, w.result(id, nil)
		}},
	{call: "cancel", name: "twice", demikernel: errNone, linux: errNone, ours: works,
		why: "as with an op that is done",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			id := must1(w.lib.Pop(qd))
			must(w.lib.Cancel(id))
			err := w.lib.Cancel(id)
			wait(w, w.lib, id)
			return qd, err
		}},
}

const whyMemory = "it has neither addresses nor connections"

var misuseOfMemory = []misuse{
	{call: "memoryqueue", name: "negative limit", demikernel: errNone, linux: errNone, ours: syscall.EINVAL,
		why: "there is no less than nothing",
		run: func(w *world) (api.QD, error) {
			_, err := w.lib.MemoryQueue(api.MemoryLimit{Bytes: -1})
			return 0, err
		}},
	{call: "memoryqueue", name: "bind", op: "bind", demikernel: errNone, linux: errNone, ours: syscall.EOPNOTSUPP, why: whyMemory,
		run: func(w *world) (api.QD, error) {
			qd := w.memory()
			return qd, w.lib.Bind(qd, w.free())
		}},
	{call: "memoryqueue", name: "listen", op: "listen", demikernel: errNone, linux: errNone, ours: syscall.EOPNOTSUPP, why: whyMemory,
		run: func(w *world) (api.QD, error) {
			qd := w.memory()
			return qd, w.lib.Listen(qd, 8)
		}},
	{call: "memoryqueue", name: "accept", op: "accept", demikernel: errNone, linux: errNone, ours: syscall.EOPNOTSUPP, late: true, why: whyMemory,
		run: func(w *world) (api.QD, error) {
			qd := w.memory()
			return qd, w.result(w.lib.Accept(qd))
		}},
	{call: "memoryqueue", name: "connect", op: "connect", demikernel: errNone, linux: errNone, ours: syscall.EOPNOTSUPP, late: true, why: whyMemory,
		run: func(w *world) (api.QD, error) {
			qd := w.memory()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "memoryqueue", name: "option of sockets", op: "setoption", demikernel: errNone, linux: syscall.ENOTSOCK, page: "setsockopt(2)", ours: syscall.ENOPROTOOPT,
		why: whyKind,
		run: func(w *world) (api.QD, error) {
			qd := w.memory()
			return qd, w.lib.SetOption(qd, api.NoDelay(true))
		}},
	{call: "memoryqueue", name: "message longer than the limit", op: "push", demikernel: errNone, linux: syscall.EMSGSIZE, page: "mq_send(3)", ours: syscall.EMSGSIZE, late: true,
		run: func(w *world) (api.QD, error) {
			qd := must1(w.lib.MemoryQueue(api.MemoryLimit{Bytes: 4}))
			return w.push(qd)
		}},
	{call: "memoryqueue", name: "push of a full one", op: "push", demikernel: errNone, linux: errWaits, page: "mq_send(3)", ours: errWaits,
		run: func(w *world) (api.QD, error) {
			qd := must1(w.lib.MemoryQueue(api.MemoryLimit{Messages: 1}))
			w.done(w.lib.Push(qd, sga(5)))
			return qd, w.pending(w.lib.Push(qd, sga(5)))
		}},
	{call: "memoryqueue", name: "push after Shutdown(ShutWrite)", op: "push", demikernel: errNone, linux: syscall.EPIPE, page: "pipe(7)", ours: syscall.EPIPE, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.memory()
			must(w.lib.Shutdown(qd, api.ShutWrite))
			return w.push(qd)
		}},
	{call: "memoryqueue", name: "push after Shutdown(ShutRead)", op: "push", demikernel: errNone, linux: syscall.EPIPE, page: "pipe(7)", ours: syscall.EPIPE, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.memory()
			must(w.lib.Shutdown(qd, api.ShutRead))
			return w.push(qd)
		}},
	{call: "memoryqueue", name: "a push that waits, and Shutdown(ShutRead)", op: "push", demikernel: errNone, linux: syscall.EPIPE, page: "pipe(7)", ours: syscall.EPIPE, late: true,
		run: func(w *world) (api.QD, error) {
			qd := must1(w.lib.MemoryQueue(api.MemoryLimit{Messages: 1}))
			w.done(w.lib.Push(qd, sga(5)))
			push := must1(w.lib.Push(qd, sga(5)))
			must(w.lib.Shutdown(qd, api.ShutRead))
			return qd, w.result(push, nil)
		}},
	{call: "memoryqueue", name: "pop after Shutdown(ShutRead)", op: "pop", demikernel: errNone, linux: errNone, ours: errEOF, late: true,
		why: "what was there is thrown away",
		run: func(w *world) (api.QD, error) {
			qd := w.memory()
			w.done(w.lib.Push(qd, sga(5)))
			must(w.lib.Shutdown(qd, api.ShutRead))
			return w.pop(qd)
		}},
	{call: "memoryqueue", name: "pop after Shutdown(ShutWrite)", op: "pop", demikernel: errNone, linux: errEOF, page: "pipe(7)", ours: errEOF, late: true,
		run: func(w *world) (api.QD, error) {
			qd := w.memory()
			must(w.lib.Shutdown(qd, api.ShutWrite))
			return w.pop(qd)
		}},
}

func (w *world) memory() api.QD { return must1(w.lib.MemoryQueue(api.MemoryLimit{})) }

// taken returns the token of a completion that was taken.
func (w *world) taken() api.Token {
	id := must1(w.lib.AsyncClose(w.tcp()))
	w.done(id, nil)
	return id
}

var misuseAfterExit = []misuse{
	{call: "exit", name: "again", demikernel: errNone, linux: errNone, ours: works,
		why: "so that it can be deferred too",
		run: func(w *world) (api.QD, error) {
			must(w.lib.Exit())
			return 0, w.lib.Exit()
		}},
	{call: "exit", name: "then socket", op: "socket", demikernel: errNone, linux: errNone, ours: net.ErrClosed, why: whyExit,
		run: func(w *world) (api.QD, error) {
			must(w.lib.Exit())
			_, err := w.lib.Socket(api.TCP)
			return 0, err
		}},
	{call: "exit", name: "then bind", op: "bind", demikernel: errNone, linux: errNone, ours: net.ErrClosed, why: whyExit,
		run: func(w *world) (api.QD, error) {
			qd := w.exit()
			return qd, w.lib.Bind(qd, w.free())
		}},
	{call: "exit", name: "then listen", op: "listen", demikernel: errNone, linux: errNone, ours: net.ErrClosed, why: whyExit,
		run: func(w *world) (api.QD, error) {
			qd := w.exit()
			return qd, w.lib.Listen(qd, 8)
		}},
	{call: "exit", name: "then accept", op: "accept", demikernel: errNone, linux: errNone, ours: net.ErrClosed, why: whyExit,
		run: func(w *world) (api.QD, error) {
			qd := w.exit()
			return qd, w.result(w.lib.Accept(qd))
		}},
	{call: "exit", name: "then connect", op: "connect", demikernel: errNone, linux: errNone, ours: net.ErrClosed, why: whyExit,
		run: func(w *world) (api.QD, error) {
			qd := w.exit()
			return qd, w.result(w.lib.Connect(qd, w.nothing()))
		}},
	{call: "exit", name: "then push", op: "push", demikernel: errNone, linux: errNone, ours: net.ErrClosed, why: whyExit,
		run: func(w *world) (api.QD, error) { return w.push(w.exit()) }},
	{call: "exit", name: "then pop", op: "pop", demikernel: errNone, linux: errNone, ours: net.ErrClosed, why: whyExit,
		run: func(w *world) (api.QD, error) { return w.pop(w.exit()) }},
	{call: "exit", name: "then setoption", op: "setoption", demikernel: errNone, linux: errNone, ours: net.ErrClosed, why: whyExit,
		run: func(w *world) (api.QD, error) {
			qd := w.exit()
			return qd, w.lib.SetOption(qd, api.TTL(9))
		}},
	{call: "exit", name: "then localaddr", op: "localaddr", demikernel: errNone, linux: errNone, ours: net.ErrClosed, why: whyExit,
		run: func(w *world) (api.QD, error) {
			qd := w.exit()
			_, err := w.lib.LocalAddr(qd)
			return qd, err
		}},
	{call: "exit", name: "then waitnext", bare: true, demikernel: errNone, linux: errNone, ours: net.ErrClosed, why: whyExit,
		run: func(w *world) (api.QD, error) {
			w.exit()
			_, err := w.lib.WaitNext(ctx, make([]api.Completion, 1))
			return 0, err
		}},
	{call: "exit", name: "then close", op: "close", demikernel: errNone, linux: errNone, ours: works,
		why: "the socket is closed, which was the wish",
		run: func(w *world) (api.QD, error) {
			qd := w.exit()
			return qd, w.lib.Close(qd)
		}},
	{call: "exit", name: "what becomes of a pop", op: "pop", demikernel: errNone, linux: errNone, ours: syscall.ECANCELED, late: true,
		why: "as with close",
		run: func(w *world) (api.QD, error) {
			qd := w.udp()
			id := must1(w.lib.Pop(qd))
			must(w.lib.Exit())
			return qd, w.result(id, nil)
		}},
}

const whyExit = "there is nothing any more that could do it"

// exit returns a descriptor from before the exit.
func (w *world) exit() api.QD {
	qd := w.tcp()
	must(w.lib.Exit())
	return qd
}
