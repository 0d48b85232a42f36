package afxdp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// sharedCable is a cable whose near end the kernel uses too, with these addresses.
func sharedCable(t testing.TB, addrs ...string) cable {
	t.Helper()
	testenv.Need(t, "afxdp", available())
	lab := netlab.New(t)
	c := cable{near: lab.Namespace("n"), far: lab.Namespace("f")}
	lab.Veth(
		netlab.Port{NS: c.near, Name: "veth0", MAC: kernelMAC.String(), Addrs: addrs},
		netlab.Port{NS: c.far, Name: "eth0", MAC: peerMAC.String(), Addrs: []string{"10.0.0.9/24", "fd00::9/64"}},
	)
	return c
}

// An inbox receives all that a device gives, in the background.
type inbox struct {
	mu   sync.Mutex
	got  [][]byte
	more chan struct{} // something was added
}

func receive(t testing.TB, dev hal.Device) *inbox {
	t.Helper()
	in := &inbox{more: make(chan struct{}, 1)}
	s := sleeper(t, dev)
	var rxs []hal.RxQueue
	for i := range dev.Info().Queues {
		rx, _, err := dev.Queue(i)
		if err != nil {
			t.Fatal(err)
		}
		rxs = append(rxs, rx)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for in.turn(rxs) && s.Wait(time.Time{}) == nil {
		}
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return in
}

// turn takes what there is, and says whether the device is open.
func (in *inbox) turn(rxs []hal.RxQueue) bool {
	fs := make([]hal.Frame, 64)
	for _, rx := range rxs {
		for {
			n, err := rx.Rx(fs)
			if err != nil {
				return false
			}
			if n == 0 {
				break
			}
			in.mu.Lock()
			for _, f := range fs[:n] {
				in.got = append(in.got, append([]byte(nil), f.Data...))
			}
			in.mu.Unlock()
			rx.Release(fs[:n])
			select {
			case in.more <- struct{}{}:
			default:
			}
		}
	}
	return true
}

// await returns all frames so far, when there is one that matches.
func (in *inbox) await(t testing.TB, what string, match func([]byte) bool) [][]byte {
	t.Helper()
	for late := time.After(guard); ; {
		in.mu.Lock()
		got := in.got
		in.mu.Unlock()
		for _, f := range got {
			if match(f) {
				return got
			}
		}
		select {
		case <-in.more:
		case <-late:
			t.Fatalf("%s does not arrive; %d other frames did", what, len(got))
		}
	}
}

// tagged gives a frame a source that tells which one of a test it is.
func tagged(frame []byte, tag int) []byte {
	f := append([]byte(nil), frame...)
	copy(f[6:], []byte{2, 0x77, 0, 0, byte(tag >> 8), byte(tag)})
	return f
}

func tagOf(frame []byte) (int, bool) {
	return int(frame[10])<<8 | int(frame[11]), [4]byte(frame[6:]) == [4]byte{2, 0x77, 0, 0}
}

// tags returns which frames of a test there are.
func tags(frames [][]byte) map[int]bool {
	m := map[int]bool{}
	for _, f := range frames {
		if tag, ok := tagOf(f); ok {
			m[tag] = true
		}
	}
	return m
}

// TestSharing sends the frames of the table of verdicts over a real cable, and
// looks who gets them.
func TestSharing(t *testing.T) {
	for _, mode := range []string{"native", "generic"} {
		for _, s := range scenes {
			t.Run(mode+" "+s.name, func(t *testing.T) {
				var kernels []string
				if strings.Contains(s.filter, "/") {
					kernels = []string{"10.0.0.2/24", "fd00::1:2/64"} // common ones
				}
				c := sharedCable(t, kernels...)
				dev := c.open(t, "?mode="+mode+"&filter="+s.filter)
				if err := hal.SetLocal(dev, s.local); err != nil {
					t.Fatal(err)
				}
				c.shareOut(t, s, receive(t, dev))
			})
		}
	}
}

// shareOut sends all frames, and after them one of each kind that arrives: what
// has not come before that, does not come.
func (c cable) shareOut(t *testing.T, s scene, in *inbox) {
	far, kernel := c.far.Far(t, "eth0"), c.near.Far(t, "veth0")
	tb := s.tables(t)
	last := map[verdict]int{}
	put := func(tag int, frame []byte) {
		t.Helper()
		if err := far.Send(tagged(frame, tag)); err != nil {
			t.Fatal(err)
		}
	}
	for tag, v := range verdicts {
		put(tag, v.frame)
	}
	for tag, v := range verdicts {
		if w := tb.judge(v.frame); last[w] == 0 {
			last[w] = len(verdicts) + tag
			put(last[w], v.frame)
		}
	}
	var got [][]byte
	for _, w := range []verdict{forUs, forBoth} {
		if tag := last[w]; tag > 0 {
			got = in.await(t, "the last frame", func(f []byte) bool { n, ok := tagOf(f); return ok && n == tag })
		}
	}
	us, them := tags(got), kernelSees(t, kernel, last)
	for tag, v := range verdicts {
		w := tb.judge(v.frame)
		if us[tag] != (w != forKernel) {
			t.Errorf("%s: %s: we get it: %v, verdict %d", v.scene.name, v.name, us[tag], w)
		}
		if them[tag] != (w != forUs) {
			t.Errorf("%s: %s: the kernel gets it: %v, verdict %d", v.scene.name, v.name, them[tag], w)
		}
	}
}

// kernelSees returns the frames that the kernel has received, up to the last ones
// that were sent.
func kernelSees(t *testing.T, kernel *netlab.Far, last map[verdict]int) map[int]bool {
	t.Helper()
	var frames [][]byte
	for _, w := range []verdict{forKernel, forBoth} {
		for last[w] > 0 && !tags(frames)[last[w]] {
			f, err := kernel.Recv(guard)
			if err != nil {
				t.Fatal("the kernel does not get the last frame: ", err)
			}
			frames = append(frames, f)
		}
	}
	for {
		f, err := kernel.Recv(0)
		if err != nil {
			return tags(frames)
		}
		frames = append(frames, f)
	}
}

// TestKernelKeepsItsOwn: beside our device, which is busy, the kernel's addresses
// work as before.
func TestKernelKeepsItsOwn(t *testing.T) {
	c := sharedCable(t, "10.0.0.1/24", "fd00::1/64")
	dev := c.open(t, "")
	if err := hal.SetLocal(dev, mine); err != nil {
		t.Fatal(err)
	}
	in, far := receive(t, dev), c.far.Far(t, "eth0")
	stop, busy := make(chan struct{}), sync.WaitGroup{}
	busy.Go(func() {
		frame := ether(kernelMAC, typeIPv4, ip4("10.0.0.2", protoUDP, ports(9)...)...)
		for {
			select {
			case <-stop:
				return
			default:
				if err := far.Send(frame); err != nil && !errors.Is(err, unix.ENOBUFS) { // more than the cable takes
					t.Error(err)
					return
				}
			}
		}
	})
	in.await(t, "our own traffic", func(f []byte) bool { return len(f) >= 34 && [4]byte(f[30:]) == [4]byte{10, 0, 0, 2} })
	for _, addr := range []string{"10.0.0.1", "fd00::1"} {
		c.far.Run("ip", "neigh", "flush", "all")
		if out := c.far.Run("ping", "-c", "20", "-i", "0.01", "-W", "5", addr); !strings.Contains(out, " 0% packet loss") {
			t.Errorf("ping of the kernel's address:\n%s", out)
		}
		c.echo(t, addr)
	}
	close(stop)
	busy.Wait()
}

// echo sends some bytes by the kernels at both ends, there and back.
func (c cable) echo(t *testing.T, addr string) {
	t.Helper()
	var ln net.Listener
	if err := c.near.Do(func() (err error) { ln, err = net.Listen("tcp", net.JoinHostPort(addr, "0")); return err }); err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var serve sync.WaitGroup
	defer serve.Wait()
	serve.Go(func() {
		conn, err := ln.Accept()
		if err == nil {
			defer conn.Close()
			_, err = io.Copy(conn, conn)
		}
		if err != nil {
			t.Error(err)
		}
	})
	text := strings.Repeat("the kernel's own ", 10_000)
	err := c.far.Do(func() error {
		conn, err := net.DialTimeout("tcp", ln.Addr().String(), guard)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(guard)); err != nil {
			return err
		}
		if _, err = io.WriteString(conn, text); err == nil {
			err = conn.(*net.TCPConn).CloseWrite()
		}
		if got, e := io.ReadAll(conn); err == nil && (e != nil || string(got) != text) {
			err = fmt.Errorf("%d of %d bytes came back: %v", len(got), len(text), e)
		}
		return err
	})
	if err != nil {
		ln.Close()
		t.Errorf("TCP to the kernel's %s: %v", addr, err)
	}
}

// TestSetLocalIsFollowed: what is ours changes while traffic flows, and holds when
// SetLocal returns. The card is told of groups, and forgets them.
func TestSetLocalIsFollowed(t *testing.T) {
	c := sharedCable(t, "10.0.0.1/24", "fd00::1/64")
	dev := c.open(t, "")
	in, far := receive(t, dev), c.far.Far(t, "eth0")
	tag := 0
	// The probe comes by another way, a copy, and may overtake a frame that the
	// kernel has given us already: one that is ours is waited for.
	reaches := func(frame []byte, ours bool) bool {
		t.Helper()
		probe := ether(ownMAC, typeIPv4, ip4("239.9.9.9", protoUDP, ports(9)...)...)
		sent := tag
		for _, f := range [][]byte{frame, probe} {
			if err := far.Send(tagged(f, tag)); err != nil {
				t.Fatal(err)
			}
			tag++
		}
		awaited := tag - 1
		if ours {
			awaited = sent
		}
		got := in.await(t, "a frame that is ours", func(f []byte) bool { n, ok := tagOf(f); return ok && n == awaited })
		return tags(got)[sent]
	}
	to := func(a string) []byte {
		return ether(kernelMAC, typeIPv6, ip6(a, protoUDP, ports(9)...)...)
	}
	always := addrs("239.9.9.9")
	for i, step := range []hal.Local{
		{Groups: always},
		{Groups: always, Addrs: addrs("fd00::5:1")},
		{Groups: always, Addrs: addrs("fd00::5:1", "fd00::5:2")},
		{Groups: always, Addrs: addrs("fd00::5:2")},
		{Groups: append(addrs("ff05::5"), always...)},
	} {
		if err := hal.SetLocal(dev, step); err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs("fd00::5:1", "fd00::5:2", "ff05::5", "ff02::1:ff05:2") {
			want := false
			for _, l := range append(step.Addrs, step.Groups...) {
				want = want || l == a || solicitedNode(l) == a && !l.IsMulticast()
			}
			if got := reaches(to(a.String()), want); got != want {
				t.Errorf("step %d: what is sent to %v reaches us: %v", i, a, got)
			}
			m, isGroup := groupMAC(a)
			if listed := strings.Contains(c.near.Run("ip", "maddress", "show", "dev", "veth0"), m.String()); isGroup && listed != want {
				t.Errorf("step %d: the card lets %v through: %v", i, a, listed)
			}
		}
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	if out := c.near.Run("ip", "maddress", "show", "dev", "veth0"); strings.Contains(out, group("ff05::5").String()) {
		t.Errorf("after Close the card still receives for our group:\n%s", out)
	}
}

// TestAddressesThatDoNotFit: an address cannot be the kernel's and ours alone, nor
// shared by ports if the kernel does not have it.
func TestAddressesThatDoNotFit(t *testing.T) {
	for _, test := range []struct{ filter, addr, want string }{
		{"local", "10.0.0.1", "is the kernel's, on veth0"},
		{"local", "::ffff:10.0.0.1", "is the kernel's, on veth0"},
		{"local", "10.99.0.1", "is the kernel's, on lo"},
		{"local", "fd00::1", "is the kernel's, on veth0"},
		{"local", "fe80::7%veth0", "is the kernel's, on veth0"},
		{"local", "fe80::9", ""}, // on another link it is another address
		{"tcp/80", "10.0.0.2", "ip address add 10.0.0.2 dev veth0"},
	} {
		c := sharedCable(t, "10.0.0.1/24", "fd00::1/64", "fe80::7/64")
		c.near.Run("ip", "address", "add", "10.99.0.1/32", "dev", "lo")
		c.near.Run("ip", "address", "add", "fe80::9/64", "dev", "lo")
		dev := c.open(t, "?filter="+test.filter)
		err := hal.SetLocal(dev, hal.Local{Addrs: []netip.Addr{netip.MustParseAddr(test.addr)}})
		if test.want == "" && err == nil {
			continue
		}
		if err == nil || test.want == "" || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("filter=%s, %s: %v, want %q", test.filter, test.addr, err, test.want)
		}
	}
}

// TestQueueWithoutSocket: what arrives in a queue that is not ours comes to us all
// the same, by the kernel.
func TestQueueWithoutSocket(t *testing.T) {
	c := variant{queues: 4}.cable(t)
	dev := c.open(t, "?queues=1")
	if err := hal.SetLocal(dev, mine); err != nil {
		t.Fatal(err)
	}
	in, far := receive(t, dev), c.far.Far(t, "eth0")
	const flows = 64 // by which the cable chooses a queue
	for n := range flows {
		port := ports(uint16(1000 + n))
		if err := far.Send(tagged(ether(dev.Info().MAC, typeIPv4, ip4("10.0.0.2", protoUDP, port...)...), n)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range flows {
		in.await(t, fmt.Sprint("flow ", n), func(f []byte) bool { got, ok := tagOf(f); return ok && got == n })
	}
}
