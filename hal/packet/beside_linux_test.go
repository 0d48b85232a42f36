package packet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// kernelWorks expects the kernel's ping and TCP to work over the interface.
func kernelWorks(t *testing.T, ours, theirs interface {
	Run(string, ...string) string
	Do(func() error) error
}) {
	t.Helper()
	for _, addr := range []string{"10.78.0.1", "fd78::1"} {
		theirs.Run("ping", "-c", "1", "-W", "5", addr)
		var ln net.Listener
		if err := ours.Do(func() (err error) { ln, err = net.Listen("tcp", net.JoinHostPort(addr, "0")); return err }); err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // a megabyte
		go func() {
			defer ln.Close()
			if c, err := ln.Accept(); err == nil {
				_, _ = c.Write(want)
				c.Close()
			}
		}()
		err := theirs.Do(func() error {
			c, err := net.DialTimeout("tcp", ln.Addr().String(), 5*time.Second)
			if err != nil {
				return err
			}
			defer c.Close()
			got, err := io.ReadAll(c)
			if err == nil && !bytes.Equal(got, want) {
				err = fmt.Errorf("%d bytes, not the ones that were sent", len(got))
			}
			return err
		})
		if err != nil {
			t.Errorf("TCP to the kernel at %s: %v", addr, err)
		}
	}
}

// TestKernelGoesOn: what the kernel has on the interface works on, whatever we
// receive, and none of it comes to us.
func TestKernelGoesOn(t *testing.T) {
	for _, spec := range append(modes, "packet:veth0?queues=2", "packet:veth0?mac=02:00:00:00:07:07") {
		t.Run(spec, func(t *testing.T) {
			ours, theirs := cable(t)
			dev := openIn(t, ours, spec)
			kernelWorks(t, ours, theirs) // nobody reads
			if err := hal.SetLocal(dev, hal.Local{Addrs: []netip.Addr{four, six}}); err != nil {
				t.Fatal(err)
			}
			far := theirs.Far(t, "veth0")
			_ = far.Send(ping(dev.Info().MAC, four))
			before := drain(t, dev)
			kernelWorks(t, ours, theirs)
			for _, p := range drain(t, dev) {
				if typ := string(p[12:14]); typ == "\x08\x00" && p[0]&1 == 0 {
					t.Errorf("a packet of the kernel's: %x", p)
				}
			}
			if !strings.Contains(spec, "mac") && len(before) == 0 {
				t.Error("nothing was received before there was a filter")
			}
			ours.Run("ip", "link", "set", "veth0", "promisc", "on") // somebody else does
			if err := far.Send(ping(hal.MAC{2, 7, 7, 7, 7, 7}, four)); err != nil {
				t.Fatal(err)
			}
			if err := far.Send(ping(dev.Info().MAC, four)); err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(drain(t, dev), func(p []byte) bool { return string(p[12:14]) != "\x08\x00" })
			if len(got) != 1 || hal.MAC(got[0]) != dev.Info().MAC {
				t.Errorf("received %x, want the one packet to our MAC address", got)
			}
		})
	}
}

// ping is a packet that gets no answer from a kernel: an echo reply.
func ping(dst hal.MAC, to netip.Addr) []byte {
	p := experiment(dst, 60)
	copy(p[12:], "\x08\x00\x45\x00\x00\x2e\x00\x00\x40\x00\x40\x01\x00\x00\x0a\x4e\x00\x09")
	copy(p[30:], to.AsSlice())
	sum := uint32(0)
	for i := 14; i < 34; i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	sum = ^(sum&0xffff + sum>>16)
	p[24], p[25] = byte(sum>>8), byte(sum)
	return p
}

// drain returns what the device has received, after the ring's last block.
func drain(t *testing.T, dev hal.Device) (got [][]byte) {
	t.Helper()
	fs := make([]hal.Frame, 32)
	for idle := 0; idle < 3; {
		n := 0
		for i := range dev.Info().Queues {
			rx, _, err := dev.Queue(i)
			if err != nil {
				t.Fatal(err)
			}
			k, err := rx.Rx(fs)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range fs[:k] {
				got = append(got, bytes.Clone(f.Data))
			}
			rx.Release(fs[:k])
			n += k
		}
		if n == 0 {
			idle++
			time.Sleep(5 * time.Millisecond)
		}
	}
	return got
}

// TestLittleRoomForFilters: where the kernel takes only short filters, more is received
// than is ours, and not less.
func TestLittleRoomForFilters(t *testing.T) {
	ours, theirs := cable(t)
	dev := openIn(t, ours, "packet:veth0?queues=2")
	if out, err := ours.Command("sysctl", "-qw", "net.core.optmem_max=2500").CombinedOutput(); err != nil {
		t.Skipf("this kernel has one limit for all namespaces: %s", out)
	}
	var l hal.Local
	for i := range byte(200) {
		l.Addrs = append(l.Addrs, netip.AddrFrom4([4]byte{10, 79, 0, i}))
	}
	if err := hal.SetLocal(dev, l); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Far(t, "veth0").Send(experiment(dev.Info().MAC, 60)); err != nil {
		t.Fatal(err)
	}
	receive(t, dev, 1)
}

// TestOwnMAC: the kernel leaves what is sent to our own address alone even if it
// forwards, which it does not if we share its address.
func TestOwnMAC(t *testing.T) {
	for spec, want := range map[string]bool{"packet:veth0": true, "packet:veth0?mac=02:00:00:00:07:07": false} {
		ours, theirs := cable(t)
		ours.Run("sysctl", "-qw", "net.ipv4.conf.veth0.forwarding=1", "net.ipv4.conf.veth0.send_redirects=0")
		dev := openIn(t, ours, spec)
		if i := dev.Info(); i.SharedMAC != want || (i.MAC == hal.MAC{2, 0, 0, 0, 7, 7}) == want {
			t.Errorf("%s: %+v", spec, i)
		}
		far := theirs.Far(t, "veth0")
		if err := far.Send(ping(dev.Info().MAC, four)); err != nil {
			t.Fatal(err)
		}
		_, tx := halves(t, dev)
		f := alloc(t, tx, 78)
		copy(f.Data, experiment(hal.Broadcast, 78))
		if n, err := tx.Tx([]hal.Frame{f}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		asked := false // who has 10.78.0.2? A kernel that is about to forward to us
		for p := []byte(nil); want && !asked || !want && len(p) != 78; {
			var err error
			if p, err = far.Recv(10 * time.Second); err != nil {
				t.Fatalf("%s: %v", spec, err)
			}
			asked = asked || string(p[12:14]) == "\x08\x06" && string(p[38:42]) == string(four.AsSlice())
		}
		if asked != want {
			t.Errorf("%s: the kernel forwards what is sent to us: %v, want %v", spec, asked, want)
		}
	}
}

// TestVLAN: packets of a VLAN are another interface's.
func TestVLAN(t *testing.T) {
	for _, spec := range modes {
		ours, theirs := cable(t)
		dev := openIn(t, ours, spec)
		far := theirs.Far(t, "veth0")
		mac := dev.Info().MAC
		for _, tag := range []string{"\x81\x00\x20\x07", "\x81\x00\x60\x00", ""} {
			p := experiment(mac, 100)
			copy(p[12:], tag+"\x88\xb5")
			p[50] = byte(len(tag))
			if tag == "\x81\x00\x20\x07" {
				p[50] = 99
			}
			if err := far.Send(p); err != nil {
				t.Fatal(err)
			}
		}
		got := receive(t, dev, 2)
		// The tag was taken off, so the mark has moved.
		if len(got[0]) != 1+96 || len(got[1]) != 1+100 {
			t.Errorf("%s: received %x, want the one with a priority and the one without a tag", spec, got)
		}
	}
}

// TestGroupMembership looks that the interface receives for our groups, as long as
// they are ours.
func TestGroupMembership(t *testing.T) {
	ours, _ := cable(t)
	dev := openIn(t, ours, "packet:veth0?mac=02:00:00:00:07:07")
	members := func() string { return ours.Run("ip", "maddr", "show", "dev", "veth0") }
	const solicit, mdns = "33:33:ff:00:00:02", "01:00:5e:00:00:fb"
	set := func(l hal.Local, want ...string) {
		t.Helper()
		if err := hal.SetLocal(dev, l); err != nil {
			t.Fatal(err)
		}
		got := members()
		for _, m := range []string{solicit, mdns} {
			if strings.Contains(got, m) != slices.Contains(want, m) {
				t.Errorf("with %+v the interface receives for:\n%s", l, got)
			}
		}
	}
	set(hal.Local{Addrs: []netip.Addr{six}}, solicit)
	set(hal.Local{Addrs: []netip.Addr{six}, Groups: []netip.Addr{netip.MustParseAddr("224.0.0.251")}}, solicit, mdns)
	set(hal.Local{Groups: []netip.Addr{netip.MustParseAddr("224.0.0.251")}}, mdns)
	set(hal.Local{})
	set(hal.Local{Addrs: []netip.Addr{six}}, solicit)
	dev.Close()
	if after := members(); strings.Contains(after, solicit) {
		t.Errorf("after Close the interface receives for:\n%s", after)
	}
}

func TestRefusedLocal(t *testing.T) {
	ours, _ := cable(t)
	ours.Run("ip", "address", "add", "10.99.0.1/32", "dev", "lo")
	ours.Run("ip", "address", "add", "fe80::1/64", "dev", "lo") // of another link
	dev := openIn(t, ours, "packet:veth0")
	if err := hal.SetLocal(dev, hal.Local{Addrs: []netip.Addr{four, netip.MustParseAddr("fe80::1")}}); err != nil {
		t.Fatal(err)
	}
	for text, c := range map[string]struct {
		local hal.Local
		want  error
	}{
		"10.78.0.1 is the kernel's own address, on veth0": {hal.Local{Addrs: []netip.Addr{four, netip.MustParseAddr("10.78.0.1")}}, unix.EADDRINUSE},
		"fd78::1 is the kernel's own address, on veth0":   {hal.Local{Addrs: []netip.Addr{netip.MustParseAddr("fd78::1")}}, unix.EADDRINUSE},
		"10.99.0.1 is the kernel's own address, on lo":    {hal.Local{Addrs: []netip.Addr{netip.MustParseAddr("10.99.0.1")}}, unix.EADDRINUSE},
		"10.78.0.1 is":     {hal.Local{Addrs: []netip.Addr{netip.MustParseAddr("::ffff:10.78.0.1")}}, unix.EADDRINUSE},
		"by ports":         {hal.Local{Addrs: []netip.Addr{four}, Ports: []hal.Port{{Proto: 6, Number: 80}}}, hal.ErrNotSupported},
		"64 MAC addresses": {hal.Local{MACs: make([]hal.MAC, 64)}, hal.ErrNotSupported},
	} {
		err := hal.SetLocal(dev, c.local)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want one line with %q", err, text)
		}
	}
}

// TestFanout: flows are spread over the queues, each stays where it is, and the
// fragments of a datagram stay together.
func TestFanout(t *testing.T) {
	for _, spec := range []string{"packet:veth0?queues=3", "packet:veth0?queues=3&ring"} {
		ours, theirs := cable(t)
		dev := openIn(t, ours, spec)
		far := theirs.Far(t, "veth0")
		const flows, each = 64, 4
		send := func(flow, kind, seq byte, fragment string) error {
			p := ping(dev.Info().MAC, four)
			p[23] = protoUDP
			copy(p[20:], fragment)
			p[29] = flow                                // of the source address
			copy(p[34:], []byte{40, flow, 7, 7, 0, 26}) // ports and length, or data
			p[24], p[25] = 0, 0                         // nobody looks at the checksum
			p[58], p[59] = kind, seq                    // marks
			return far.Send(p)
		}
		// While we receive: a ring holds little if it comes slowly.
		sendAll := func() (err error) {
			for seq := range byte(each) {
				for flow := range byte(flows) {
					err = errors.Join(err, send(flow, 0, seq, "\x00\x00"))
				}
			}
			for flow := range byte(flows) { // the first, with more to come, and the last
				err = errors.Join(err, send(flow, 1, 0, "\x20\x00"), send(flow, 1, 1, "\x00\x04"))
			}
			return err
		}
		sent := make(chan error, 1)
		go func() { sent <- sendAll() }()
		type flow struct{ number, kind byte }
		at, perQueue := map[flow]byte{}, map[byte]int{}
		for _, p := range receiveIPv4(t, dev, flows*(each+2)) {
			queue, f := p[0], flow{p[1+29], p[1+58]}
			if was, seen := at[f]; seen && was != queue {
				t.Errorf("%s: %+v: packet %d in queue %d, others in queue %d", spec, f, p[1+59], queue, was)
			}
			at[f] = queue
			perQueue[queue]++
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if len(perQueue) != 3 || len(at) != 2*flows {
			t.Errorf("%s: of %d flows the queues got %v", spec, len(at), perQueue)
		}
	}
}

// receiveIPv4 is receive for IPv4 packets from the far end.
func receiveIPv4(t *testing.T, dev hal.Device, n int) (got [][]byte) {
	t.Helper()
	fs := make([]hal.Frame, 32)
	for end := testEnd(); len(got) < n; {
		if time.Now().After(end) {
			t.Fatalf("%d packets arrived, want %d; %+v", len(got), n, hal.StatsOf(dev))
		}
		for i := range dev.Info().Queues {
			rx, _, err := dev.Queue(i)
			if err != nil {
				t.Fatal(err)
			}
			k, err := rx.Rx(fs)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range fs[:k] {
				if string(f.Data[12:14]) == "\x08\x00" && f.Data[0]&1 == 0 {
					got = append(got, append([]byte{byte(i)}, f.Data...))
				}
			}
			rx.Release(fs[:k])
		}
	}
	return got
}

// TestKernelOffloads: a kernel with all its offloads on sends checksums blank and
// datagrams in super-frames, and says so.
func TestKernelOffloads(t *testing.T) {
	for _, spec := range modes {
		ours, theirs := cable(t)
		dev := openIn(t, ours, spec)
		theirs.Run("ip", "neigh", "replace", four.String(), "lladdr", dev.Info().MAC.String(), "dev", "veth0")
		err := theirs.Do(func() error {
			c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(four, 9)))
			if err != nil {
				return err
			}
			defer c.Close()
			raw, err := c.SyscallConn()
			if err != nil {
				return err
			}
			if _, err := c.Write(make([]byte, 100)); err != nil {
				return err
			}
			if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1000) }); e != nil || err != nil {
				return errors.Join(e, err)
			}
			_, err = c.Write(make([]byte, 9500))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		rx, _ := halves(t, dev)
		fs := make([]hal.Frame, 8)
		var seen []hal.Meta
		for end := testEnd(); len(seen) < 2 && time.Now().Before(end); {
			n, err := rx.Rx(fs)
			if err != nil {
				t.Fatal(err)
			}
			for i, f := range fs[:n] {
				if string(f.Data[12:14]) == "\x08\x00" && f.Data[23] == protoUDP {
					seen = append(seen, f.Meta)
					if v := offload.Verify(fs[i : i+1]); v == offload.Bad {
						t.Errorf("%s: %+v: verified as %v", spec, f.Meta, v)
					}
				}
			}
			rx.Release(fs[:n])
		}
		if len(seen) != 2 || !seen[0].NeedsCsum || seen[1].GSO != hal.GSOUDP || seen[1].GSOSize != 1000 {
			t.Errorf("%s: received %+v, want a blank checksum and a super-frame; %+v", spec, seen, hal.StatsOf(dev))
		}
	}
}
