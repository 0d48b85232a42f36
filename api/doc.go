// Package api is the two faces of a host: queues in the manner of Demikernel,
// and the interfaces of package net. Both submit the same ops to the same
// [Transport]: a host of package stack, the operating system's own sockets, or
// anything else that executes ops.
//
// # Queues
//
// A [LibOS] has sockets, called queues, with descriptors. Accept, Connect, Push
// and Pop start an op and return its [Token] at once; later there is a
// [Completion]. One goroutine serves any number of queues by taking completions
// as they come. This is a whole echo server:
//
//	qd, err := lib.Socket(api.TCP)
//	err = lib.Bind(qd, netip.MustParseAddrPort("[::]:7"))
//	err = lib.Listen(qd, 128)
//	_, err = lib.Accept(qd)
//	for c, err := range lib.Completions(ctx) {
//		switch {
//		case err != nil: // ctx has ended
//			return err
//		case c.Op == api.OpAccept && c.Err != nil:
//			return c.Err
//		case c.Op == api.OpAccept:
//			lib.Pop(c.New)
//			lib.Accept(qd)
//		case c.Err != nil || c.EOF:
//			c.SGA.Free()
//			lib.Close(c.QD)
//		case c.Op == api.OpPop:
//			lib.Push(c.QD, c.SGA)
//		case c.Op == api.OpPush:
//			c.SGA.Free()
//			lib.Pop(c.QD)
//		}
//	}
//
// Who prefers to wait for one op, for one of a few, or for all of them, names
// their tokens to Wait, WaitAny or WaitAll. A token that somebody waits for goes
// to that waiter; every other completion goes to the completion queue. Poll looks
// into that without waiting, and Drop gives a token up.
//
// # Memory queues
//
// [LibOS.MemoryQueue] makes a queue within the process: a pipe whose messages
// keep their boundaries, with the same Push, Pop, tokens and completions. So one
// goroutine waits for the network and for the rest of the program at once, and a
// full queue holds its pushers back:
//
//	jobs, err := lib.MemoryQueue(api.MemoryLimit{Messages: 64})
//	lib.Push(jobs, api.SGAOf(job)) // anywhere
//	lib.Pop(jobs)                  // where Completions are served
//
// # Memory
//
// The bytes of a push or pop are an [SGA]. A push borrows it until its
// completion, which hands it back, whatever became of the push. A pop gives one
// away. Whoever holds one frees it once, or pushes it. So every completion of a
// push or a pop has an SGA that is now yours.
//
// Memory freed twice, or after a push was given it, is counted and logged. With
// [Config.Strict], which is for tests, it panics; freed memory is overwritten;
// and [LibOS.Leaks] says who still holds what.
//
// # Connections
//
// [LibOS.Net] is the other face: Dial, Listen and ListenPacket, for whatever is
// written for package net, with the same errors and the same deadlines.
//
//	ln, err := lib.Net().Listen("tcp", ":80")
//	err = http.Serve(ln, handler)
//
// It costs a goroutine for each connection and a switch between goroutines for
// most reads. Use queues where that counts, and this face everywhere else.
//
// # Names
//
// The net face takes names where package net does. What it knows about them is
// a [Names]: known hosts, and DNS servers, which it asks over the transport. It
// reads nothing from the machine.
//
//	lib.Net().SetNames(api.Names{Servers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.53:53")}})
//	c, err := lib.Net().Dial("tcp", "www.example.com:http")
//
// # Traps
//
// A failed op is not an error of waiting: look at Completion.Err, or the bytes
// that did not arrive will not be missed.
//
// The end of a context ends a wait, not the op. A pop that nobody waits for any
// more still takes the next bytes, and its completion lies in the completion
// queue until somebody takes it; Cancel ends the op.
//
// Serve a queue in one way only. A goroutine in Completions takes whatever
// nobody waits for by name at that moment, also what another was about to ask
// for by Wait.
package api
