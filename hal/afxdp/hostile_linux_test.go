package afxdp

import (
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// fakeKernel is both halves of a queue over memory of our own, with the test in the
// kernel's place. There is no kernel, so the transmit half must not be flushed.
type fakeKernel struct {
	rx   rxQueue
	tx   txQueue
	rxIn producer[desc]   // the kernel's side of the receive ring
	fill consumer[uint64] // of the fill ring
	out  consumer[desc]   // of the transmit ring
	done producer[uint64] // of the completion ring
}

// connect makes both sides of a ring.
func connect[T any](p *producer[T], c *consumer[T], size int) {
	p.slots = make([]T, size)
	p.mine, p.other, p.flags = new(atomic.Uint32), new(atomic.Uint32), new(atomic.Uint32)
	c.slots, c.mine, c.other, c.flags = p.slots, p.other, p.mine, p.flags
}

func newFakeKernel(t testing.TB, frames, mtu int) *fakeKernel {
	t.Helper()
	null, err := os.Open(os.DevNull) // what must have a descriptor
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	l := newLayout(frames, mtu, metaLength)
	c := &common{layout: l, name: "fake0", mtu: mtu, trusts: true, offload: hal.Csum}
	mem := make([]byte, (l.rx+l.tx)*l.chunk)
	k := &fakeKernel{
		rx: rxQueue{common: c, pool: newPool(mem, l.chunk, 0, l.rx), joined: -1},
		tx: txQueue{common: c, pool: newPool(mem, l.chunk, uint64(l.rx), l.tx)},
	}
	connect(&k.rx.fill, &k.fill, l.fill)
	connect(&k.rxIn, &k.rx.ring, l.rxRing)
	connect(&k.tx.ring, &k.out, l.txRing)
	connect(&k.done, &k.tx.done, l.txRing)
	for len(k.rx.pool.free) > 0 {
		k.rx.refill(k.rx.pool.get(kernel))
	}
	k.rx.fill.publish()
	k.rx.Open(int(null.Fd()))
	k.tx.half.Open(int(null.Fd()))
	return k
}

// buffer takes an empty chunk out of the fill ring, as the kernel does.
func (k *fakeKernel) buffer(t testing.TB) uint64 {
	t.Helper()
	if k.fill.ready(1) == 0 {
		t.Fatal("the fill ring is empty")
	}
	addr := k.fill.peek(0)
	k.fill.skip(1)
	k.fill.publish()
	return addr + kernelRoom
}

// give puts descriptors into the receive ring.
func (k *fakeKernel) give(ds ...desc) {
	for _, d := range ds {
		k.rxIn.put(d)
	}
	k.rxIn.publish()
}

// all counts the chunks of the receive half that are where they should be.
func (k *fakeKernel) all() int { return k.fill.ready(1<<20) + k.rx.pool.out + len(k.rx.pool.free) }

func TestRxRefusesNonsense(t *testing.T) {
	for name, c := range map[string]struct {
		descs func(k *fakeKernel, good uint64) []desc
		why   reason
		lost  int // chunks that nobody can find again
	}{
		"outside of the memory": {func(_ *fakeKernel, _ uint64) []desc { return []desc{{addr: 1 << 40, size: 60}} }, rxBadDescriptor, 1},
		"end of the addresses":  {func(_ *fakeKernel, _ uint64) []desc { return []desc{{addr: 1<<64 - 1, size: 60}} }, rxBadDescriptor, 1},
		"a chunk to send":       {func(k *fakeKernel, _ uint64) []desc { return []desc{{addr: k.tx.pool.first << 11, size: 60}} }, rxBadDescriptor, 1},
		"longer than a chunk":   {func(_ *fakeKernel, g uint64) []desc { return []desc{{addr: g, size: 1793}} }, rxBadDescriptor, 0},
		"as long as it gets":    {func(_ *fakeKernel, g uint64) []desc { return []desc{{addr: g, size: 1<<32 - 1}} }, rxBadDescriptor, 0},
		"empty":                 {func(_ *fakeKernel, g uint64) []desc { return []desc{{addr: g}} }, rxBadDescriptor, 0},
		"twice in one packet":   {func(_ *fakeKernel, g uint64) []desc { return []desc{{g, 300, optContinued}, {g, 60, 0}} }, rxTooLong, 1},
		"shorter than a header": {func(_ *fakeKernel, g uint64) []desc { return []desc{{addr: g, size: 13}} }, rxRunt, 0},
		"longer than the longest": {func(k *fakeKernel, g uint64) []desc {
			return []desc{{g, 1792, optContinued}, {k.fill.peek(0), 1792, optContinued}, {k.fill.peek(1), 9, 0}}
		}, rxTooLong, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := newFakeKernel(t, minFrames, 1500)
			total, fs := k.all(), make([]hal.Frame, 32)
			ds := c.descs(k, k.buffer(t))
			for range len(ds) - 1 {
				k.buffer(t)
			}
			k.give(ds...)
			if n, err := k.rx.Rx(fs); n != 0 || err != nil {
				t.Fatalf("Rx = %d, %v", n, err)
			}
			if got := k.rx.drops[c.why].Load(); got == 0 {
				t.Errorf("no %s is counted", reasonNames[c.why])
			}
			if got := k.all(); got != total-c.lost {
				t.Errorf("%d of %d chunks are left, want %d less", got, total, c.lost)
			}
			k.give(desc{addr: k.buffer(t), size: 60})
			if n, err := k.rx.Rx(fs); n != 1 || err != nil || len(fs[0].Data) != 60 {
				t.Errorf("the packet after it: Rx = %d, %v", n, err)
			}
		})
	}
}

// A chunk that is on loan cannot arrive again.
func TestRxRefusesLentChunk(t *testing.T) {
	k := newFakeKernel(t, minFrames, 1500)
	fs := make([]hal.Frame, 4)
	addr := k.buffer(t)
	k.give(desc{addr: addr, size: 60}, desc{addr: addr, size: 70})
	if n, err := k.rx.Rx(fs); n != 1 || err != nil || len(fs[0].Data) != 60 {
		t.Fatalf("Rx = %d, %v", n, err)
	}
	if got := k.rx.drops[rxBadDescriptor].Load(); got != 1 {
		t.Errorf("%d bad descriptors, want 1", got)
	}
}

// A card that puts headers apart gives short first pieces: the first frame must
// hold what everybody looks at.
func TestRxPullsHeadersUp(t *testing.T) {
	for _, sizes := range [][]uint32{{60, 3000}, {20, 30, 1000}, {14, 100, 78, 5}, {190, 1, 1, 1}, {60, 40}, {300, 50}} {
		k := newFakeKernel(t, minFrames, 9000)
		var want []byte
		k.rx.rxChain = len(sizes)
		for i, size := range sizes {
			addr := k.buffer(t)
			d := desc{addr: addr, size: size, options: optContinued}
			if i == len(sizes)-1 {
				d.options = 0
			}
			for j := range int(size) {
				k.rx.pool.mem[int(addr)+j] = byte(len(want) * 7)
				want = append(want, byte(len(want)*7))
			}
			k.give(d)
		}
		total, fs := k.all(), make([]hal.Frame, 8)
		n, err := k.rx.Rx(fs)
		if err != nil || n == 0 || hal.ChainLen(fs[:n]) != n {
			t.Fatalf("pieces of %v: Rx = %d, %v", sizes, n, err)
		}
		var got []byte
		for i := range fs[:n] {
			if len(fs[i].Data) == 0 {
				t.Errorf("pieces of %v: frame %d is empty", sizes, i)
			}
			got = append(got, fs[i].Data...)
		}
		if string(got) != string(want) || len(fs[0].Data) < min(len(want), hal.Contiguous) {
			t.Errorf("pieces of %v: %d bytes in %d frames, the first of %d", sizes, len(got), n, len(fs[0].Data))
		}
		k.rx.Release(fs[:n])
		if k.all() != total+len(sizes) {
			t.Errorf("pieces of %v: chunks are lost", sizes)
		}
	}
}

// Completions of what the kernel does not have are counted and change nothing.
func TestTxRefusesNonsense(t *testing.T) {
	k := newFakeKernel(t, minFrames, 1500)
	fs := make([]hal.Frame, 1)
	n, err := k.tx.Alloc(fs, 60)
	if n != 1 || err != nil {
		t.Fatal(n, err)
	}
	held := fs[0].Ref() << k.tx.pool.shift
	for _, addr := range []uint64{held, 0, 1 << 50, 1<<64 - 1} {
		k.done.put(addr)
	}
	k.done.publish()
	k.tx.reap()
	if got := k.tx.drops[txBadCompletion].Load(); got != 4 {
		t.Errorf("%d bad completions are counted, want 4", got)
	}
	if sent, err := k.tx.Tx(fs); sent != 1 || err != nil {
		t.Fatal(sent, err)
	}
	k.tx.ring.publish()
	if k.out.ready(1) != 1 || k.out.peek(0).size != 60 {
		t.Fatal("the packet is not in the ring")
	}
	k.done.put(k.out.peek(0).addr)
	k.done.publish()
	if k.tx.reap(); len(k.tx.pool.free) != k.tx.layout.tx || k.tx.pool.out != 0 {
		t.Errorf("%d chunks are free, want %d", len(k.tx.pool.free), k.tx.layout.tx)
	}
}

// Indexes that make no sense end in an error and not in a wait for ever.
func TestBrokenRings(t *testing.T) {
	k := newFakeKernel(t, minFrames, 1500)
	k.rx.ring.other.Store(1 << 20)
	if n, err := k.rx.Rx(make([]hal.Frame, 4)); n != 0 || !errors.Is(err, unix.EIO) {
		t.Errorf("Rx = %d, %v", n, err)
	}
	fs := make([]hal.Frame, 1)
	for range k.tx.layout.tx {
		if n, err := k.tx.Alloc(fs, 60); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	k.tx.done.other.Store(1 << 20)
	if n, err := k.tx.Alloc(fs, 60); n != 0 || !errors.Is(err, unix.EIO) {
		t.Errorf("Alloc = %d, %v", n, err)
	}
}

// FuzzRx lets the kernel say anything: what comes out of Rx is memory of the
// receive half, each piece once.
func FuzzRx(f *testing.F) {
	f.Add([]byte{1, 0, 1, 0, 60, 0, 0})
	f.Add([]byte{3, 0, 1, 0, 255, 6, 1, 0, 9, 0, 255, 6, 1, 0, 17, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		k := newFakeKernel(t, minFrames, 4000)
		k.fill.skip(k.fill.ready(1 << 20)) // the kernel has them all
		fs := make([]hal.Frame, 8)
		lent := map[uint64]bool{}
		for len(script) > 0 {
			index := script[0]
			script = script[1:]
			for len(script) >= 6 && index&3 != 0 {
				w := binary.LittleEndian.Uint64(append([]byte{0, 0}, script[:6]...)) >> 16
				*k.rxIn.slot(k.rxIn.next) = desc{addr: w & 0xffffff << 5, size: uint32(w>>24) & 0x1fff, options: uint32(w>>40) & 3}
				k.rxIn.next++
				script, index = script[6:], index-1
			}
			if index&0x80 != 0 {
				k.rxIn.next += uint32(index)
			}
			k.rxIn.publish()
			n, err := k.rx.Rx(fs)
			if n < 0 || n > len(fs) || err != nil && n > 0 {
				t.Fatalf("Rx = %d, %v", n, err)
			}
			for i := range fs[:n] {
				ref := fs[i].Ref()
				if lent[ref] || ref >= uint64(k.rx.layout.rx) || len(fs[i].Data) == 0 || cap(fs[i].Data) > k.rx.chunk {
					t.Fatalf("frame %d of %d: chunk %d, lent already: %v, %d bytes", i, n, ref, lent[ref], len(fs[i].Data))
				}
				lent[ref] = true
			}
			if n > 0 && fs[n-1].More {
				t.Fatal("Rx splits a packet")
			}
			if index&0x40 == 0 {
				k.rx.Release(fs[:n])
				for i := range fs[:n] {
					delete(lent, fs[i].Ref())
				}
				k.fill.skip(k.fill.ready(1 << 20))
				k.fill.publish()
			}
		}
	})
}

// A copy that the kernel cannot describe (EINVAL) is lost and counted, and the device
// lives on: anybody on the wire can send such packets. Nor does it look for the next
// one for ever.
func TestCopyWithoutHeader(t *testing.T) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC) // reading it fails with EINVAL
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	c := &copies{iface: &iface{name: "fake0"}, fd: fd, pool: netif.Pool{Size: 2048, Limit: 4}}
	fs := make([]hal.Frame, 8)
	if n, err := c.rx(fs); n != 0 || err != nil {
		t.Fatalf("rx = %d, %v, want nothing", n, err)
	}
	if n := c.badHeader.Load(); n != uint64(len(fs)) {
		t.Errorf("%d packets counted, want %d", n, len(fs))
	}
}
