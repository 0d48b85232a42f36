package packet

import (
	"encoding/binary"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
	"github.com/ringtail-net/ringtail/internal/netlab"
)

// Benchmarks of the driver beside the bare system calls that it makes, in the same
// run: an iteration is a burst of 64 packets either way, so "device" over "bare" is
// what the driver costs. Most of both is the kernel's work.

var benchSizes = []struct {
	name string
	size int
	meta hal.Meta
}{
	{"60", 60, hal.Meta{}},
	{"1514", 1514, hal.Meta{}},
	{"65226", 45*1448 + 66, superMeta},
}

// benchPacket is a packet of the experiment, or a TCP super-frame that the kernel
// finds in order but takes for somebody else's.
func benchPacket(dst hal.MAC, size int, m hal.Meta) []byte {
	p := experiment(dst, size)
	if m.GSO != hal.GSONone {
		copy(p[12:], "\x08\x00\x45\x00\x00\x00\x00\x00\x40\x00\x40\x06\x00\x00\xc6\x12\x00\x01\xc6\x12\x00\x02")
		binary.BigEndian.PutUint16(p[16:], uint16(size-hal.EthernetHeaderLen))
		p[14+20+12] = 8 << 4 // TCP with 12 bytes of options
	}
	return p
}

// bareSocket is a packet socket on veth0 without the driver.
func bareSocket(b *testing.B, ns *netlab.Namespace, protocol uint16) int {
	b.Helper()
	fd := -1
	err := ns.Do(func() error {
		veth, err := net.InterfaceByName("veth0")
		if err != nil {
			return err
		}
		if fd, err = socket(); err != nil {
			return err
		}
		makeRoom(fd)
		o := opening{device: &device{index: veth.Index}}
		return o.bind(fd, protocol)
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Close(fd) })
	return fd
}

// bareMessages are the arguments of a bare call, with buffers of their own.
func bareMessages(size int) *messages {
	m := new(messages)
	m.init()
	for i := range batch {
		m.set(i, make([]byte, size))
	}
	return m
}

func BenchmarkTx(b *testing.B) {
	for _, c := range benchSizes {
		packet := benchPacket(hal.MAC{2, 0, 0, 0, 0, 0x99}, c.size, c.meta)
		b.Run("device/"+c.name, func(b *testing.B) {
			ours, _ := cable(b)
			dev := openIn(b, ours, "packet:veth0")
			_, tx := halves(b, dev)
			fs := make([]hal.Frame, batch)
			b.SetBytes(int64(batch * c.size))
			b.ReportAllocs()
			for b.Loop() {
				for i := range fs {
					if n, err := tx.Alloc(fs[i:], c.size); n != 1 || err != nil {
						b.Fatal(n, err)
					}
					copy(fs[i].Data, packet[:60])
					fs[i].Meta = c.meta
				}
				for at := 0; at < batch; {
					n, err := tx.Tx(fs[at:])
					if err != nil {
						b.Fatal(err)
					}
					at += n
				}
			}
			if s := hal.StatsOf(dev); s.TxPackets < batch*uint64(b.N) {
				b.Fatal(s)
			}
		})
		b.Run("bare/"+c.name, func(b *testing.B) {
			ours, _ := cable(b)
			fd := bareSocket(b, ours, 0)
			m := new(messages)
			m.init()
			b.SetBytes(int64(batch * c.size))
			for i := range batch {
				buf := make([]byte, offload.VirtioLen, offload.VirtioLen+c.size)
				offload.PutVirtio(buf, c.meta)
				m.set(i, append(buf, packet...))
			}
			for b.Loop() {
				for left := batch; left > 0; {
					n, err := m.send(fd, left)
					if err != nil && err != unix.EAGAIN {
						b.Fatal(err)
					}
					left -= n
				}
			}
		})
	}
}

// BenchmarkRx counts only the receiving of bursts that wait in the kernel. The time
// of a ring includes, for bursts that fill no block, the wait for its timeout.
func BenchmarkRx(b *testing.B) {
	for _, c := range benchSizes {
		for _, how := range []struct{ name, spec string }{{"device/", "packet:veth0"}, {"ring/", "packet:veth0?ring"}} {
			b.Run(how.name+c.name, func(b *testing.B) {
				ours, theirs := cable(b)
				dev := openIn(b, ours, how.spec)
				rx, _ := halves(b, dev)
				fs := make([]hal.Frame, batch)
				received(b, theirs, dev.Info().MAC, c.size, c.meta, func() int {
					n, err := rx.Rx(fs)
					if err != nil {
						b.Fatal(err)
					}
					rx.Release(fs[:n])
					return n
				})
			})
		}
		b.Run("bare/"+c.name, func(b *testing.B) {
			ours, theirs := cable(b)
			mac := openIn(b, ours, "packet:veth0").Info().MAC
			fd := bareSocket(b, ours, unix.ETH_P_ALL)
			m := bareMessages(readSize)
			received(b, theirs, mac, c.size, c.meta, func() int {
				n, err := m.receive(fd, batch)
				if err != nil && err != unix.EAGAIN {
					b.Fatal(err)
				}
				return n
			})
		})
	}
}

// received has the far end send bursts, and times rx until each is there.
func received(b *testing.B, theirs *netlab.Namespace, mac hal.MAC, size int, m hal.Meta, rx func() int) {
	far := theirs.Far(b, "veth0")
	packet := benchPacket(mac, size, m)
	b.SetBytes(int64(batch * size))
	b.ReportAllocs()
	b.ResetTimer()
	b.StopTimer()
	for range b.N {
		for range batch {
			if err := far.SendMeta(packet, m); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		for got, tries := 0, 0; got < batch; tries++ {
			if got += rx(); tries > 1<<24 {
				b.Fatal("the kernel loses what is sent")
			}
		}
		b.StopTimer()
	}
}
