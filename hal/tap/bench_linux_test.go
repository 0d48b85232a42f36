package tap

import (
	"encoding/binary"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

// Benchmarks of the driver alone: one packet a system call, and the kernel's own
// work, which is most of it.

func BenchmarkTx(b *testing.B) {
	for _, c := range []struct {
		name, spec string
		size       int
		meta       hal.Meta
	}{
		{"vnet/60", "tap:rt0", 60, hal.Meta{}},
		{"vnet/1514", "tap:rt0", 1514, hal.Meta{}},
		{"vnet/65226", "tap:rt0", 45*1448 + 66, superMeta},
		{"plain/60", "tap:rt0?vnet=off", 60, hal.Meta{}},
		{"plain/1514", "tap:rt0?vnet=off", 1514, hal.Meta{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			dev := openIn(b, namespace(b), c.spec)
			_, tx := halves(b, dev)
			fs := make([]hal.Frame, 1)
			packet := benchPacket(c.size, c.meta)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for b.Loop() {
				if n, err := tx.Alloc(fs, c.size); n != 1 || err != nil {
					b.Fatal(n, err)
				}
				copy(fs[0].Data, packet[:60])
				fs[0].Meta = c.meta
				if n, err := tx.Tx(fs); n != 1 || err != nil {
					b.Fatal(n, err)
				}
			}
			if d := hal.StatsOf(dev).Drops; d["tx-rejected"] > 0 {
				b.Fatal(d)
			}
		})
	}
}

// benchPacket is a packet of the experimental EtherType, or a TCP super-frame
// that the kernel finds in order but takes for somebody else's.
func benchPacket(size int, m hal.Meta) []byte {
	p := broadcast(size)
	if m.GSO != hal.GSONone {
		p[0], p[12], p[13] = 2, 8, 0
		copy(p[14:], "\x45\x00\x00\x00\x00\x00\x40\x00\x40\x06\x00\x00\xc6\x12\x00\x01\xc6\x12\x00\x02")
		binary.BigEndian.PutUint16(p[16:], uint16(size-hal.EthernetHeaderLen))
		p[14+20+12] = 8 << 4 // TCP with 12 bytes of options
	}
	return p
}

// BenchmarkRx counts only the receiving of packets that wait in the kernel.
func BenchmarkRx(b *testing.B) {
	for _, c := range []struct {
		name, spec string
		size       int
		meta       hal.Meta
	}{
		{"vnet/60", "tap:rt0", 60, hal.Meta{}},
		{"vnet/1514", "tap:rt0", 1514, hal.Meta{}},
		{"vnet/65226", "tap:rt0", 45*1448 + 66, superMeta},
		{"plain/60", "tap:rt0?vnet=off", 60, hal.Meta{}},
		{"plain/1514", "tap:rt0?vnet=off", 1514, hal.Meta{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			ns := namespace(b)
			dev := openIn(b, ns, c.spec)
			rx, _ := halves(b, dev)
			far := ns.Far(b, "rt0")
			fs := make([]hal.Frame, 32)
			packet := benchPacket(c.size, c.meta)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			b.ResetTimer()
			b.StopTimer()
			for done, rounds := 0, 0; done < b.N; rounds++ {
				if rounds > b.N {
					b.Fatal("the kernel loses what is sent: ", hal.StatsOf(dev).Drops)
				}
				for range len(fs) {
					if err := far.SendMeta(packet, c.meta); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				n, err := rx.Rx(fs)
				if err != nil {
					b.Fatal(err)
				}
				rx.Release(fs[:n])
				b.StopTimer()
				done += n
			}
		})
	}
}
