package tap

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// standIn makes a device whose kernel is the test: a socket that keeps packets
// apart. It can be full and it can lie, which a TAP's kernel cannot.
func standIn(t *testing.T, header int) (dev *device, kernel *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	o := &opening{Config: Config{MAC: hal.MAC{2}}, fds: fds[:1], format: format{ifname: "test0", mtu: 1500, header: header}}
	if header > 0 {
		o.rx = hal.Csum | hal.TSO4 | hal.TSO6 | hal.USO
		o.format.offload = o.rx
	}
	dev = newDevice(o)
	kernel = os.NewFile(uintptr(fds[1]), "kernel")
	t.Cleanup(func() {
		kernel.Close()
		dev.Close()
	})
	return dev, kernel
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

func TestReceivedDrops(t *testing.T) {
	dev, kernel := standIn(t, offload.VirtioLen)
	rx, _ := halves(t, dev)
	good := make([]byte, offload.VirtioLen+60)
	badCsum, unknown, noSize := bytes.Clone(good), bytes.Clone(good), bytes.Clone(good)
	copy(badCsum, "\x01\x00\x00\x00\x00\x00\xff\xff\x10\x00")
	copy(unknown, "\x00\x7f")
	copy(noSize, "\x01\x01")
	for _, p := range [][]byte{badCsum, unknown, noSize, good[:5], good[:offload.VirtioLen+13], make([]byte, 1<<17), good} {
		if _, err := kernel.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	fs := make([]hal.Frame, 8)
	n, err := rx.Rx(fs)
	if n != 1 || err != nil || len(fs[0].Data) != 60 {
		t.Fatalf("Rx = %d, %v, want the one good packet", n, err)
	}
	rx.Release(fs[:n])
	s := hal.StatsOf(dev)
	if s.RxPackets != 1 || s.RxBytes != 60 || s.Drops["rx-bad-header"] != 3 || s.Drops["rx-runt"] != 2 || s.Drops["rx-too-long"] != 1 {
		t.Errorf("%+v", s)
	}
}

// TestReceivedTooLong raises the MTU behind the device's back.
func TestReceivedTooLong(t *testing.T) {
	dev, kernel := standIn(t, 0)
	rx, _ := halves(t, dev)
	for _, size := range []int{1514 + 4, 1514 + 5, 9000} {
		if _, err := kernel.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	fs := make([]hal.Frame, 8)
	if n, err := rx.Rx(fs); n != 1 || err != nil || len(fs[0].Data) != 1518 {
		t.Errorf("Rx = %d, %v, want a packet with a tag and no piece of a longer one", n, err)
	}
	if d := hal.StatsOf(dev).Drops; d["rx-too-long"] != 2 {
		t.Errorf("%v", d)
	}
}

func TestBackPressure(t *testing.T) {
	dev, kernel := standIn(t, offload.VirtioLen)
	_, tx := halves(t, dev)
	sent := 0
	var left hal.Frame
	for {
		f := alloc(t, tx, 1000)
		f.Data[0], f.Data[999] = byte(sent), byte(sent)
		n, err := tx.Tx([]hal.Frame{f})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			left = f // ours still
			break
		}
		if sent++; sent > 1<<20 {
			t.Fatal("never full")
		}
	}
	s, err := hal.NewSleeper(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.SetWritable(true)
	for i := range sent + 1 {
		if i == sent {
			if err := s.Wait(testEnd()); err != nil {
				t.Fatal(err)
			}
			if n, err := tx.Tx([]hal.Frame{left}); n != 1 || err != nil {
				t.Fatalf("Tx when there is room again = %d, %v", n, err)
			}
		}
		b := make([]byte, 2000)
		n, err := kernel.Read(b)
		if err != nil || n != offload.VirtioLen+1000 || b[offload.VirtioLen] != byte(i) || b[n-1] != byte(i) {
			t.Fatalf("packet %d: %d bytes, %v", i, n, err)
		}
	}
	if s := hal.StatsOf(dev); s.TxPackets != uint64(sent)+1 || s.TxBytes != uint64(sent+1)*1000 {
		t.Errorf("%d packets sent, counted %+v", sent+1, s)
	}
}

func TestSentDrops(t *testing.T) {
	dev, kernel := standIn(t, offload.VirtioLen)
	_, tx := halves(t, dev)
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
	add(60, func(f *hal.Frame) { f.Prepend(headroom)[0] = 0xcc })               // sent, grown
	add(1<<16, func(f *hal.Frame) { f.Data[0] = 0xdd; f.Meta = superMeta })     // sent, a super-frame
	add(60, func(f *hal.Frame) { f.More = true })                               // tx-chained, without end
	if n, err := tx.Tx(burst); n != len(burst) || err != nil {
		t.Fatalf("Tx = %d, %v, want %d", n, err, len(burst))
	}
	b := make([]byte, 1<<17)
	for _, want := range []struct {
		size  int
		first byte
		meta  hal.Meta
	}{{60, 0xaa, hal.Meta{}}, {40, 0xbb, hal.Meta{}}, {60 + headroom, 0xcc, hal.Meta{}}, {1 << 16, 0xdd, superMeta}} {
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
	d := hal.StatsOf(dev).Drops
	for why, want := range map[string]uint64{"tx-runt": 1, "tx-too-long": 2, "tx-offload": 1, "tx-chained": 2} {
		if d[why] != want {
			t.Errorf("%s: %d, want %d", why, d[why], want)
		}
	}
	if _, err := tx.Alloc(make([]hal.Frame, 1), maxSuper+1); !errors.Is(err, hal.ErrTooLong) {
		t.Errorf("Alloc beyond GSOMax: %v", err)
	}
}

var superMeta = hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 16, GSO: hal.GSOTCP4, GSOSize: 1448, HdrLen: 66}

// TestMisuse checks that giving back what is not on loan is noticed before
// somebody else's packet is overwritten.
func TestMisuse(t *testing.T) {
	dev, kernel := standIn(t, 0)
	rx, tx := halves(t, dev)
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
			if _, err := kernel.Write(make([]byte, 60)); err != nil {
				t.Fatal(err)
			}
			if n, err := rx.Rx(fs); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			tx.Tx(fs)
		},
		"release nothing of ours": func() { rx.Release([]hal.Frame{{}, {}}) },
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
