// Package hal is what a network device must do for a host to run on it, and
// nothing more: frames on loan, in bursts, never blocking. Who uses a device
// needs this much of it:
//
//	dev, err := hal.Open("tap:rt0")       // a driver, imported for its side effect
//	rx, tx, err := dev.Queue(0)           // two halves, one owner each
//	sleeper, err := hal.NewSleeper(dev)   // the only way to wait
//	burst := make([]hal.Frame, max(32, dev.Info().MaxChain))
//	for {
//		n, err := rx.Rx(burst)            // borrow
//		…                                 // look at burst[i].Data
//		rx.Release(burst[:n])             // give back
//		if n == 0 {
//			err = sleeper.Wait(time.Time{})
//		}
//	}
//
// To send is [TxQueue.Alloc], write, [TxQueue.Tx], and [TxQueue.Flush] once a burst.
//
// # Writing a driver
//
// A driver is a [Device], its two halves [RxQueue] and [TxQueue], and a call of
// [Register] in an init function. The example of this package is a whole one, of
// about 150 lines; package haltest is the test that it and all others pass. The
// rules:
//
//   - No call blocks, and none of the data path allocates. Waiting is the
//     sleeper's: a half says how. [Pollable] names a descriptor, [Notifier] calls
//     a function; with neither the half is polled, which costs latency or a core.
//   - The halves of a queue are two objects and share no lock: they have an owner
//     each. One owner at a time is also why a half needs no lock of its own,
//     except against Close, which may come at any moment from anywhere.
//   - Memory is lent. A frame that Rx or Alloc returned is the caller's until it
//     gives it back, once, to the same half. [NewFrame] carries a number that
//     leads the driver back to its buffer. Cap the buffer (buf[i:j:j]) if it is
//     part of a larger area: a frame ends where its buffer ends.
//   - A long packet is a chain, and chains are whole in every call. The first
//     frame holds the packet's first [Contiguous] bytes; copy if yours does not.
//   - Tx that takes fewer than it was given is no error: the device is full. Then
//     tell when it is not: a descriptor becomes writable, or Notify's function is
//     called. A packet that can never be sent is taken and counted, or its sender
//     would try for ever.
//   - Call the notified function without holding a lock. Call it after what it
//     tells of is visible, not before. Calling it too often is harmless.
//   - [Info] promises: say what was really obtained, not what was asked for, and
//     announce only offloads that work. [Meta] means what virtio-net means by it.
//   - Every lost packet is counted by a reason ([Counting]). The names of reasons
//     are there from the start.
//   - Close is idempotent, wakes whoever sleeps (a Pollable half is a Notifier
//     for this alone), and leaves nothing behind in the kernel.
//   - A [Driver] declares its keys, so that [ParseSpec] can refuse what it does
//     not know. What the machine lacks is an error that wraps [ErrNotSupported]
//     and names the command that helps; Probe says the same without opening.
//
// The traps, each of which costs an afternoon:
//
//   - Reading the descriptor through [os.File] or a RawConn: they hold a lock
//     that the sleeper may hold, asleep. Use plain system calls.
//   - Using a descriptor that Close has closed meanwhile: its number may belong
//     to another file by then.
//   - Looking for an ability by type assertion: it does not see through a
//     wrapper. Use [As], and give every wrapper an Unwrap.
//   - A ring that is empty for Rx because all loans are out is not empty for the
//     sleeper, which will not wake for what is in it: release before you sleep.
package hal
