package packet

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// standIn makes halves whose kernel is the test: a socket that keeps packets
// apart. It can lie, which the kernel does not.
func standIn(t *testing.T) (rx *rxQueue, tx *txQueue, kernel *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{ifname: "test0", mtu: 1500, offload: offloads | hal.USO}
	rx, tx = newRx(w), newTx(w)
	rx.Open(fds[0])
	tx.Open(fds[0])
	kernel = os.NewFile(uintptr(fds[1]), "kernel")
	t.Cleanup(func() {
		kernel.Close()
		unix.Close(rx.Retire())
	})
	return rx, tx, kernel
}

func halves(t testing.TB, dev hal.Device) (hal.RxQueue, hal.TxQueue) {
	t.Helper()
	rx, tx, err := dev.Queue(0)
	if err != nil {
		t.Fatal(err)
	}
	return rx, tx
}

// alloc lends a frame of size bytes.
func alloc(t testing.TB, tx hal.TxQueue, size int) hal.Frame {
	t.Helper()
	fs := make([]hal.Frame, 1)
	if n, err := tx.Alloc(fs, size); n != 1 || err != nil {
		t.Fatalf("Alloc(%d) = %d, %v", size, n, err)
	}
	return fs[0]
}

// badPackets are what the kernel does not give, by the reason of their loss.
func badPackets() map[reason][][]byte {
	good := make([]byte, offload.VirtioLen+60)
	badCsum, unknown, noSize := bytes.Clone(good), bytes.Clone(good), bytes.Clone(good)
	copy(badCsum, "\x01\x00\x00\x00\x00\x00\xff\xff\x10\x00")
	copy(unknown, "\x00\x7f")
	copy(noSize, "\x01\x01")
	return map[reason][][]byte{
		rxBadHeader: {badCsum, unknown, noSize},
		rxRunt:      {good[:5], good[:offload.VirtioLen+13]},
		rxTooLong:   {make([]byte, readSize+1), make([]byte, 1<<17)},
	}
}

func TestReceivedDrops(t *testing.T) {
	rx, _, kernel := standIn(t)
	fs := make([]hal.Frame, 20)
	receive := func(p []byte, want int) {
		t.Helper()
		if _, err := kernel.Write(p); err != nil {
			t.Fatal(err)
		}
		n, err := rx.Rx(fs)
		if n != want || err != nil || n > 0 && len(fs[0].Data) != len(p)-offload.VirtioLen {
			t.Fatalf("Rx = %d, %v, want %d", n, err, want)
		}
		rx.Release(fs[:n])
	}
	for why, packets := range badPackets() {
		for _, p := range packets {
			receive(p, 0)
		}
		receive(make([]byte, readSize), 1) // the longest there can be
		if got := rx.drops[why].Load(); got != uint64(len(packets)) {
			t.Errorf("%s: %d, want %d", reasonNames[why], got, len(packets))
		}
	}
	if got := rx.packets.Load(); got != 3 {
		t.Errorf("%d packets counted", got)
	}
}

// TestReceivedInBursts mixes bursts and loans of all sizes: every packet comes
// once, in order, in memory of its own.
func TestReceivedInBursts(t *testing.T) {
	rx, _, kernel := standIn(t)
	var held []hal.Frame
	next, sent := 0, 0
	receive := func(room, keep int) (n int) {
		fs := make([]hal.Frame, room)
		n, err := rx.Rx(fs)
		if err != nil {
			t.Fatal(err)
		}
		for held = append(held, fs[:n]...); len(held) > keep; held = held[1:] {
			f := held[0]
			if got := int(f.Data[0]) | int(f.Data[59])<<8; got != next {
				t.Fatalf("packet %d after packet %d", got, next-1)
			}
			next++
			rx.Release(held[:1])
		}
		return n
	}
	for round := range 200 {
		for range round * 7 % 23 {
			p := make([]byte, offload.VirtioLen+60)
			p[offload.VirtioLen], p[len(p)-1] = byte(sent), byte(sent>>8)
			if _, err := kernel.Write(p); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		receive(1+round*13%90, round*5%60)
	}
	for receive(7, 0) > 0 {
	}
	if next < 1000 || next != sent || rx.lent != 0 {
		t.Errorf("%d packets of %d, %d on loan", next, sent, rx.lent)
	}
}

// TestRingDrops has a kernel that writes nonsense into the ring.
func TestRingDrops(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	const size = 4096
	q := overRing(&wire{ifname: "test0"}, make([]byte, ringBlocks*size))
	q.Open(fds[0])
	good := make([]byte, offload.VirtioLen+60)
	give := func(packets ...[]byte) block {
		b := q.block(q.turn)
		fillBlock(b, packets...)
		b.status().Store(unix.TP_STATUS_USER)
		return b
	}
	fs := make([]hal.Frame, 8)
	receive := func(want int) {
		t.Helper()
		n, err := q.Rx(fs)
		if n != want || err != nil {
			t.Fatalf("Rx = %d, %v, want %d", n, err, want)
		}
		q.Release(fs[:n])
	}
	for why, packets := range badPackets() {
		for _, p := range packets {
			if why == rxTooLong { // the kernel has cut it
				give(good)[blockHeader+packetLen]++
			} else {
				give(p)
			}
			receive(0)
		}
	}
	b := give(good, good, good)
	b[blockCount] = 9
	receive(3)
	b = give(good)
	b[blockFirst] = 1
	receive(0)
	for i := range 3 * ringBlocks { // and the ring goes on
		give(good)
		if receive(1); i == 0 {
			receive(0)
		}
	}
	for why, want := range map[reason]uint64{rxBadHeader: 3, rxRunt: 2, rxTooLong: 2, rxBadBlock: 2} {
		if got := q.drops[why].Load(); got != want {
			t.Errorf("%s: %d, want %d", reasonNames[why], got, want)
		}
	}
}

// sent is what the kernel is to get.
type sent struct {
	size  int
	first byte
	meta  hal.Meta
}

var superMeta = hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 16, GSO: hal.GSOTCP4, GSOSize: 1448, HdrLen: 66}

func TestSentDrops(t *testing.T) {
	_, tx, kernel := standIn(t)
	var burst []hal.Frame
	add := func(size int, change func(f *hal.Frame)) {
		f := alloc(t, tx, size)
		if change != nil {
			change(&f)
		}
		burst = append(burst, f)
	}
	add(13, nil)                                                                // tx-runt
	add(1514, func(f *hal.Frame) { f.Prepend(1) })                              // tx-too-long
	add(2000, nil)                                                              // tx-too-long: long, but no super-frame
	add(60, func(f *hal.Frame) { f.Meta = hal.Meta{NeedsCsum: true, GSO: 77} }) // tx-offload
	add(60, func(f *hal.Frame) { f.More = true })                               // tx-chained, with the next
	add(60, nil)                                                                //
	add(60, func(f *hal.Frame) { f.Data[0] = 0xaa })                            // sent
	add(60, func(f *hal.Frame) { f.Data = f.Data[10:50]; f.Data[0] = 0xbb })    // sent, shortened at both ends
	add(60, func(f *hal.Frame) { f.Data = f.Data[:0] })                         // tx-runt
	add(60, func(f *hal.Frame) { f.Prepend(headroom)[0] = 0xcc })               // sent, grown
	add(1<<16, func(f *hal.Frame) { f.Data[0] = 0xdd; f.Meta = superMeta })     // sent, a super-frame
	add(60, func(f *hal.Frame) { f.More = true })                               // tx-chained, without end
	if n, err := tx.Tx(burst); n != len(burst) || err != nil {
		t.Fatalf("Tx = %d, %v, want %d", n, err, len(burst))
	}
	b := make([]byte, 1<<17)
	for _, want := range []sent{{60, 0xaa, hal.Meta{}}, {40, 0xbb, hal.Meta{}}, {60 + headroom, 0xcc, hal.Meta{}}, {1 << 16, 0xdd, superMeta}} {
		n, err := kernel.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		m, err := offload.ParseVirtio(b[:offload.VirtioLen], n-offload.VirtioLen)
		m.HdrLen = want.meta.HdrLen // a hint, which ParseVirtio leaves out
		if n != offload.VirtioLen+want.size || b[offload.VirtioLen] != want.first || m != want.meta || err != nil {
			t.Errorf("sent %d bytes, first %#x, %+v, %v; want %+v", n-offload.VirtioLen, b[offload.VirtioLen], m, err, want)
		}
	}
	for why, want := range map[reason]uint64{txRunt: 2, txTooLong: 2, txOffload: 1, txChained: 2} {
		if got := tx.drops[why].Load(); got != want {
			t.Errorf("%s: %d, want %d", reasonNames[why], got, want)
		}
	}
	if _, err := tx.Alloc(make([]hal.Frame, 1), maxSuper+1); !errors.Is(err, hal.ErrTooLong) {
		t.Errorf("Alloc beyond GSOMax: %v", err)
	}
}

// TestPatience: a socket with room on an interface that has none tells nobody when
// to try again.
func TestPatience(t *testing.T) {
	_, tx, _ := standIn(t)
	for i := range 3 * patience {
		why, lost, err := tx.failed(-1, unix.ENOBUFS)
		if lost != (i%patience == patience-1) || err != nil || lost && why != txNoBuffer {
			t.Fatalf("try %d: lost %v for %v, %v", i, lost, why, err)
		}
		if lost {
			tx.drop([]hal.Frame{alloc(t, tx, 60)}, why)
		}
	}
}

// TestMisuse checks that giving back what is not on loan is noticed before
// somebody else's packet is overwritten.
func TestMisuse(t *testing.T) {
	rx, tx, kernel := standIn(t)
	ring := overRing(&wire{ifname: "test0"}, make([]byte, ringBlocks*4096))
	for name, misuse := range map[string]func(){
		"release twice": func() {
			f := []hal.Frame{alloc(t, tx, 60)}
			tx.Release(f)
			tx.Release(f)
		},
		"send after release": func() {
			f := []hal.Frame{alloc(t, tx, 60)}
			tx.Release(f)
			tx.Tx(f)
		},
		"release what was sent": func() {
			f := []hal.Frame{alloc(t, tx, 60)}
			tx.Tx(f)
			tx.Release(f)
		},
		"send other memory": func() {
			f := alloc(t, tx, 60)
			f.Data = make([]byte, 60)
			tx.Tx([]hal.Frame{f})
		},
		"send what was received": func() {
			fs := make([]hal.Frame, 1)
			if _, err := kernel.Write(make([]byte, 70)); err != nil {
				t.Fatal(err)
			}
			if n, err := rx.Rx(fs); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			tx.Tx(fs)
		},
		"release nothing of ours":          func() { rx.Release([]hal.Frame{{}, {}, {}}) },
		"release nothing of ours, by ring": func() { ring.Release([]hal.Frame{{}}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("not noticed")
				}
			}()
			misuse()
		})
	}
}
