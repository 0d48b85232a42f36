package haltest

import (
	"github.com/ringtail-net/ringtail/hal"
)

type watchedRx struct {
	hal.RxQueue
	*half
}

func (q *watchedRx) Unwrap() hal.RxQueue { return q.RxQueue }

func (q *watchedRx) Rx(fs []hal.Frame) (int, error) {
	defer q.enter()()
	n, err := q.RxQueue.Rx(fs)
	if n < 0 || n > len(fs) {
		q.w.errorf("%s: Rx of %d frames returned %d", q.name, len(fs), n)
		return 0, err
	}
	q.lent(fs[:n])
	if out := q.count(); out > q.w.info.Loans {
		q.w.errorf("%s: %d frames are on loan, Info.Loans is %d", q.name, out, q.w.info.Loans)
	}
	for rest := fs[:n]; len(rest) > 0; {
		c := hal.ChainLen(rest)
		if c == 0 {
			q.w.errorf("%s: Rx returned %d frames, the last of which says that its packet goes on", q.name, n)
			break
		}
		q.inspect(rest[:c])
		rest = rest[c:]
	}
	return n, err
}

func (q *watchedRx) Release(fs []hal.Frame) {
	defer q.enter()()
	q.given("Release", fs, true)
	q.RxQueue.Release(fs)
}

// inspect looks at one received packet.
func (q *watchedRx) inspect(chain []hal.Frame) {
	size, m, info := hal.PacketLen(chain), chain[0].Meta, &q.w.info
	if len(chain) > info.MaxChain {
		q.w.errorf("%s: a packet of %d frames, Info.MaxChain is %d", q.name, len(chain), info.MaxChain)
	}
	if first := len(chain[0].Data); first < min(size, hal.Contiguous) {
		q.w.errorf("%s: the first frame holds %d of %d bytes, must be min(packet, hal.Contiguous)", q.name, first, size)
	}
	for i := range chain {
		if len(chain[i].Data) == 0 {
			q.w.errorf("%s: frame %d of a chain is empty", q.name, i)
		}
	}
	if m.NeedsCsum && int(m.CsumStart)+int(m.CsumOffset)+2 > size {
		q.w.errorf("%s: the checksum to complete is at %d+%d, the packet has %d bytes", q.name, m.CsumStart, m.CsumOffset, size)
	}
	if m.GSO != hal.GSONone && (!m.NeedsCsum || m.GSOSize == 0 || int(m.HdrLen) > size) {
		q.w.errorf("%s: bad metadata of a super-frame of %d bytes: %+v", q.name, size, m)
	}
	if announced := info.RxOffloads; !announced.Carries(m) || m.CsumValid && announced&hal.Csum == 0 {
		q.w.errorf("%s: metadata %+v, but Info.RxOffloads is %v", q.name, m, announced)
	}
}

type watchedTx struct {
	hal.TxQueue
	*half
}

func (q *watchedTx) Unwrap() hal.TxQueue { return q.TxQueue }

func (q *watchedTx) Alloc(fs []hal.Frame, size int) (int, error) {
	defer q.enter()()
	n, err := q.TxQueue.Alloc(fs, size)
	if n < 0 || n > len(fs) || err != nil && n != 0 {
		q.w.errorf("%s: Alloc with room for %d frames returned %d, %v", q.name, len(fs), n, err)
		return 0, err
	}
	q.lent(fs[:n])
	if n == 0 {
		return 0, err
	}
	if c := hal.ChainLen(fs[:n]); c != n || hal.PacketLen(fs[:n]) != size || n > q.w.info.MaxChain {
		q.w.errorf("%s: Alloc of %d bytes returned %d frames of %d bytes, the first %d of them a chain", q.name, size, n, hal.PacketLen(fs[:n]), c)
	}
	for i := range fs[:n] {
		if f := &fs[i]; f.Headroom() < q.w.info.Headroom || f.Meta != (hal.Meta{}) {
			q.w.errorf("%s: Alloc returned a frame with headroom %d and metadata %+v, want %d and none", q.name, f.Headroom(), f.Meta, q.w.info.Headroom)
		}
	}
	return n, nil
}

func (q *watchedTx) Tx(fs []hal.Frame) (int, error) {
	defer q.enter()()
	q.known(fs)
	n, err := q.TxQueue.Tx(fs)
	if n < 0 || n > len(fs) {
		q.w.errorf("%s: Tx of %d frames returned %d", q.name, len(fs), n)
		return 0, err
	}
	if n > 0 && fs[n-1].More {
		q.w.errorf("%s: Tx took %d frames, which ends inside a packet", q.name, n)
	}
	q.given("Tx", fs[:n], false)
	return n, err
}

// known reports frames that do not come from Alloc of this half, before the
// device sees them.
func (q *watchedTx) known(fs []hal.Frame) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range fs {
		if _, ok := q.loans[loanOf(&fs[i])]; !ok && !q.w.closed.Load() {
			q.w.errorf("%s: Tx of frame %#x, which Alloc of this half did not lend", q.name, fs[i].Ref())
		}
	}
}

func (q *watchedTx) Flush() error {
	defer q.enter()()
	return q.TxQueue.Flush()
}

func (q *watchedTx) Release(fs []hal.Frame) {
	defer q.enter()()
	q.given("Release", fs, true)
	q.TxQueue.Release(fs)
}
