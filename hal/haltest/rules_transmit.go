package haltest

import (
	"errors"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

var transmitRules = []rule{
	{
		name: "transmit",
		text: "A packet of any length up to the MTU arrives as it was sent.",
		far:  true,
		run: func(l *lab) {
			for seq, size := range l.sizes() {
				l.must(l.send(seq, size))
				l.farWant(seq, size)
			}
		},
	},
	{
		name: "transmit-order",
		text: "Packets of a flow arrive in the order in which they were sent, in bursts too.",
		far:  true,
		run: func(l *lab) {
			const rounds = 64
			for r := range rounds {
				var burst []hal.Frame
				for i := range window {
					n, err := l.tx.Alloc(l.fs, minPacket)
					l.must(err)
					fill(l.fs[:n], l.flow(l.toFar(), flowPort, r*window+i, minPacket))
					burst = append(burst, l.fs[:n]...)
				}
				l.must(l.txAll(burst))
				for i := range window {
					l.farWant(r*window+i, minPacket)
				}
			}
		},
	},
	{
		name: "transmit-partial",
		text: "Tx takes what it can and says how much; the rest stays the caller's, to be tried again or released.",
		far:  true,
		run:  transmitPartial,
	},
	{
		name: "alloc-too-long",
		text: "Alloc of a size that can never be sent fails with ErrTooLong; any other does not.",
		run: func(l *lab) {
			n, err := l.tx.Alloc(l.fs, l.longest())
			l.must(err)
			l.tx.Release(l.fs[:n])
			for _, size := range []int{l.longest() + 1, 1 << 30} {
				if n, err := l.tx.Alloc(l.fs, size); n != 0 || !errors.Is(err, hal.ErrTooLong) {
					l.Errorf("Alloc(%d) = %d, %v, want 0, hal.ErrTooLong: the longest packet has %d bytes", size, n, err, l.longest())
				}
			}
		},
	},
	{
		name: "alloc-exhausted",
		text: "Alloc says 0 when all frames are on loan, and lends again when some were released, in any order.",
		run: func(l *lab) {
			for range 3 { // a leak would show
				var out []hal.Frame
				for len(out) < 1<<14 {
					n, err := l.tx.Alloc(l.fs, l.packetMax())
					l.must(err)
					if n == 0 {
						break
					}
					out = append(out, l.fs[:n]...)
				}
				if len(out) == 0 {
					l.Fatal("Alloc lends nothing")
				}
				l.tx.Release(out[len(out)/2:])
				l.tx.Release(out[:len(out)/2])
			}
			l.works(1)
		},
	},
	{
		name: "alloc-clean",
		text: "Alloc lends frames without metadata and with their whole headroom, whatever was done with them before.",
		run: func(l *lab) {
			for range 2000 { // Watched looks at what Alloc returns
				n, err := l.tx.Alloc(l.fs, minPacket)
				l.must(err)
				if n == 0 {
					l.Fatal("Alloc lends nothing, though all frames were released")
				}
				for i := range l.fs[:n] {
					l.fs[i].Meta = hal.Meta{NeedsCsum: true, CsumStart: 7, GSO: hal.GSOUDP, HdrLen: 9}
					l.fs[i].Prepend(l.info.Headroom)
					l.fs[i].Data = l.fs[i].Data[:1]
				}
				l.tx.Release(l.fs[:n])
			}
		},
	},
	{
		name: "shortened",
		text: "A packet may be shortened before Tx, at its front, at its end, and by whole frames there.",
		far:  true,
		run: func(l *lab) {
			for seq, size := range l.sizes() {
				n, err := l.tx.Alloc(l.fs, l.longest())
				l.must(err)
				chain := l.cutTo(l.fs[:n], size)
				fill(chain, l.flow(l.toFar(), flowPort, seq, size))
				l.must(l.txAll(chain))
				l.farWant(seq, size)
			}
		},
	},
	{
		name: "prepend",
		text: "A header may be put in front of an allocated packet, as long as the headroom.",
		far:  true,
		run: func(l *lab) {
			n := min(l.info.Headroom, hal.EthernetHeaderLen)
			p := l.flow(l.toFar(), flowPort, 1, minPacket)
			c, err := l.tx.Alloc(l.fs, len(p)-n)
			l.must(err)
			fill(l.fs[:c], p[n:])
			copy(l.fs[0].Prepend(n), p)
			l.must(l.txAll(l.fs[:c]))
			l.farWant(1, minPacket)
		},
	},
	{
		name: "too-long",
		text: "A packet that is too long is taken and counted as a drop, and the next one passes.",
		run: func(l *lab) {
			if l.info.GSOMax == 0 && l.info.Headroom == 0 {
				l.Skip("no way to make a packet that is too long")
			}
			before := l.drops()
			size := l.packetMax() + 1
			n, err := l.tx.Alloc(l.fs, min(size, l.longest()))
			l.must(err)
			l.fs[0].Prepend(size - hal.PacketLen(l.fs[:n]))
			fill(l.fs[:n], l.flow(l.toFar(), flowPort, 0, size))
			l.must(l.txAll(l.fs[:n]))
			l.countsDrop(before)
			l.works(1)
		},
	},
	{
		name: "runt",
		text: "A packet shorter than an Ethernet header does no harm, and the next one passes.",
		run: func(l *lab) {
			for i, size := range []int{0, 1, hal.EthernetHeaderLen - 1, hal.EthernetHeaderLen} {
				n, err := l.tx.Alloc(l.fs, minPacket)
				l.must(err)
				chain := l.cutTo(l.fs[:n], size)
				fill(chain, l.flow(l.toFar(), flowPort, 0, minPacket))
				l.must(l.txAll(chain))
				if l.far != nil {
					_ = l.far.Send(l.flow(l.toDev(), flowPort, 0, minPacket)[:size]) // it may refuse
				}
				l.works(i + 1)
			}
		},
	},
}

// transmitPartial sends while the far end does not read, until the device is
// full or has taken so much that it must be losing it.
func transmitPartial(l *lab) {
	const enough = 1 << 13
	sent := 0
	for full := false; !full && sent < enough; {
		var burst []hal.Frame
		for range window {
			n, err := l.tx.Alloc(l.fs, minPacket)
			l.must(err)
			fill(l.fs[:n], l.flow(l.toFar(), flowPort, sent+len(burst), minPacket))
			burst = append(burst, l.fs[:n]...)
			full = full || n == 0
		}
		n, err := l.tx.Tx(burst)
		l.must(err)
		l.must(l.tx.Flush())
		full = full || n < len(burst)
		l.tx.Release(burst[n:])
		sent += n // a packet of this length is one frame
	}
	// Markers follow until one has arrived: the link may be losing packets by now.
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for seq := enough + 1; ; seq++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := l.send(seq, minPacket); err != nil {
				done <- err
				return
			}
		}
	}()
	for last := -1; last <= enough; {
		seq, _, err := l.farRecv()
		l.must(err)
		if seq <= last {
			l.Errorf("packet %d arrived after packet %d", seq, last)
		}
		last = seq
	}
	close(stop)
	l.drainFar(done)
}

// drainFar receives at the far end until a sender has said that it is done.
func (l *lab) drainFar(done <-chan error) {
	l.Helper()
	for {
		select {
		case err := <-done:
			l.must(err)
			return
		default:
			_, _ = l.far.Recv(10 * time.Millisecond)
		}
	}
}

// cutTo shortens a chain to size bytes, releases the frames that are left over,
// and takes a few bytes from the front on the way.
func (l *lab) cutTo(chain []hal.Frame, size int) []hal.Frame {
	const front = 3
	if first := &chain[0]; len(first.Data) > size+front {
		first.Data = first.Data[front:]
	}
	keep := 0
	for rest := size; rest > 0 || keep == 0; keep++ {
		f := &chain[keep]
		f.Data = f.Data[:min(rest, len(f.Data))]
		rest -= len(f.Data)
	}
	chain[keep-1].More = false
	l.tx.Release(chain[keep:])
	return chain[:keep]
}

// txAll sends frames until all are taken.
func (l *lab) txAll(fs []hal.Frame) error {
	err := eventually(func() (bool, error) {
		n, err := l.tx.Tx(fs)
		fs = fs[n:]
		return len(fs) == 0, err
	})
	l.tx.Release(fs)
	return errors.Join(err, l.tx.Flush())
}

// countsDrop expects a device that counts to have counted a drop.
func (l *lab) countsDrop(before uint64) {
	l.Helper()
	if _, ok := hal.As[hal.Counting](l.dev); ok && l.drops() <= before {
		l.Errorf("the packet was not counted as a drop: %v", hal.StatsOf(l.dev).Drops)
	}
}
