package afxdp

import (
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/netlab"
)

// These benchmarks compare, in one run and in turns, this driver with a bare loop
// over the same rings and with batches of system calls on a packet socket. What
// counts are the ratios: rate-ours/bare must not fall below 0.9. Times are those of the
// thread, and contain what the kernel does in its calls, up to the far end of the
// cable.
//
//	go test -run '^$' -bench . ./hal/afxdp

// batch is how many frames go at a time: one doorbell, or one system call.
const batch = 64

// A contender moves a batch of frames.
type contender struct {
	name string
	move func() // batch frames
	only time.Duration
	all  time.Duration
}

// compare runs contenders in turns, b.N batches each, and reports the time that
// each takes for a frame. Before a batch, prepare may do what counts for all of
// them alike: its time is in the comparison, and apart from the contender's own.
func compare(b *testing.B, prepare func(c *contender), cs ...*contender) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for b.Loop() {
		for _, c := range cs {
			start := threadTime(b)
			if prepare != nil {
				prepare(c)
			}
			mid := threadTime(b)
			c.move()
			end := threadTime(b)
			c.only += end - mid
			c.all += end - start
		}
	}
	per := func(d time.Duration) float64 { return float64(d) / float64(b.N) / batch }
	for _, c := range cs {
		b.ReportMetric(per(c.all), c.name+"-ns/frame")
		if prepare != nil {
			b.ReportMetric(per(c.only), c.name+"-only-ns/frame")
		}
	}
	b.ReportMetric(float64(cs[1].all)/float64(cs[0].all), "rate-ours/bare")
	b.ReportMetric(0, "ns/op")
}

func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// stranger is a packet to a station that is not there.
func stranger(size int) []byte {
	p := broadcast(size)
	copy(p, "\x02\x00\x00\x00\x00\x99")
	return p
}

func BenchmarkTransmit(b *testing.B) {
	for _, size := range []int{64, 1514} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := stranger(size)
			compare(b, nil, oursTx(b, p), bareTx(b, p), socketTx(b, p))
		})
	}
}

func oursTx(b *testing.B, p []byte) *contender {
	_, tx := halves(b, variant{}.cable(b).open(b, "?filter=all"))
	fs := make([]hal.Frame, batch)
	return &contender{name: "ours", move: func() {
		for i := range fs {
			if n, err := tx.Alloc(fs[i:], len(p)); n != 1 || err != nil {
				b.Fatal(n, err)
			}
			copy(fs[i].Data, p)
		}
		if n, err := tx.Tx(fs); n != batch || err != nil {
			b.Fatal(n, err)
		}
		if err := tx.Flush(); err != nil {
			b.Fatal(err)
		}
	}}
}

// bareTx is what a program would do that has the rings and nothing else to care
// about: no loans, no checks, no counters.
func bareTx(b *testing.B, p []byte) *contender {
	q := &variant{}.cable(b).open(b, "?filter=all").(*device).queues[0].tx
	free := q.pool.free
	return &contender{name: "bare", move: func() {
		n := q.done.ready(batch)
		for i := range n {
			free = append(free, q.done.peek(i)>>q.pool.shift)
		}
		q.done.skip(n)
		q.done.publish()
		for range batch {
			addr := free[len(free)-1] << q.pool.shift
			free = free[:len(free)-1]
			addr += metaLength + headroom
			copy(q.pool.mem[addr:], p)
			q.ring.put(desc{addr: addr, size: uint32(len(p))})
		}
		q.ring.publish()
		for q.ring.look() > 0 {
			if err := unix.Send(q.half.FD(), nil, unix.MSG_DONTWAIT); err != nil && err != unix.EAGAIN {
				b.Fatal(err)
			}
		}
	}}
}

// packets is a packet socket with a batch of buffers.
type packets struct {
	fd   int
	msgs [batch]struct {
		unix.Msghdr
		n uint32
		_ uint32
	}
	iovs [batch]unix.Iovec
	mem  [batch][2048]byte
}

// openPackets opens a packet socket that sees one EtherType.
func openPackets(b *testing.B, ns *netlab.Namespace, name string) *packets {
	const etherType = 0xb588 // 0x88b5 in network order
	s := &packets{}
	err := ns.Do(func() error {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: etherType, Ifindex: i.Index})
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Close(s.fd) })
	for i := range s.msgs {
		s.iovs[i].Base = &s.mem[i][0]
		s.msgs[i].Iov, s.msgs[i].Iovlen = &s.iovs[i], 1
	}
	return s
}

func (s *packets) call(b *testing.B, trap uintptr) {
	for i := 0; i < batch; {
		n, _, errno := unix.Syscall6(trap, uintptr(s.fd), uintptr(unsafe.Pointer(&s.msgs[i])), uintptr(batch-i), 0, 0, 0)
		if errno != 0 {
			b.Fatal(errno)
		}
		i += int(n)
	}
}

func (s *packets) send(b *testing.B, p []byte) {
	for i := range s.iovs {
		copy(s.mem[i][:], p)
		s.iovs[i].SetLen(len(p))
	}
	s.call(b, unix.SYS_SENDMMSG)
}

func socketTx(b *testing.B, p []byte) *contender {
	s := openPackets(b, variant{}.cable(b).near, "veth0")
	return &contender{name: "sendmmsg", move: func() { s.send(b, p) }}
}

func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{64, 1514} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := broadcast(size)
			senders := map[string]*packets{}
			cables := map[string]cable{}
			for _, name := range []string{"ours", "bare", "recvmmsg"} {
				cables[name] = variant{}.cable(b)
				senders[name] = openPackets(b, cables[name].far, "eth0")
			}
			// The frames have arrived when the sender's call returns.
			send := func(c *contender) { senders[c.name].send(b, p) }
			compare(b, send, oursRx(b, cables["ours"]), bareRx(b, cables["bare"]), socketRx(b, cables["recvmmsg"]))
		})
	}
}

// sink keeps what is received from being optimised away.
var sink int

func oursRx(b *testing.B, c cable) *contender {
	rx, _ := halves(b, c.open(b, "?filter=all"))
	fs := make([]hal.Frame, batch)
	return &contender{name: "ours", move: func() {
		for got := 0; got < batch; {
			n, err := rx.Rx(fs)
			if err != nil {
				b.Fatal(err)
			}
			for i := range fs[:n] {
				sink += int(fs[i].Data[12])
			}
			rx.Release(fs[:n])
			got += n
		}
	}}
}

func bareRx(b *testing.B, c cable) *contender {
	q := &c.open(b, "?filter=all").(*device).queues[0].rx
	return &contender{name: "bare", move: func() {
		for got := 0; got < batch; {
			n := q.ring.ready(batch)
			for i := range n {
				d := q.ring.peek(i)
				sink += int(q.pool.mem[d.addr+12])
				q.fill.put(d.addr &^ (2048 - 1))
			}
			q.ring.skip(n)
			q.ring.publish()
			q.fill.publish()
			got += n
		}
	}}
}

func socketRx(b *testing.B, c cable) *contender {
	s := openPackets(b, c.near, "veth0")
	for i := range s.iovs {
		s.iovs[i].SetLen(len(s.mem[i]))
	}
	return &contender{name: "recvmmsg", move: func() {
		s.call(b, unix.SYS_RECVMMSG)
		for i := range s.mem {
			sink += int(s.mem[i][12])
		}
	}}
}
