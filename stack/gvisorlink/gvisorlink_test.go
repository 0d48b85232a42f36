package gvisorlink

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// cable returns two devices, which are closed with the test if it has not done
// so.
func cable(t *testing.T, c loopback.Config) (a, b hal.Device) {
	t.Helper()
	a, b, err := loopback.Pair(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestTransfer(t *testing.T) {
	for name, c := range map[string]loopback.Config{
		"super-frames": {},
		"wire frames":  {NoGSO: true},
		"eight frames": {NoGSO: true, Frames: 8}, // most packets wait for room
		"two queues":   {Queues: 2},
	} {
		t.Run(name, func(t *testing.T) {
			da, db := cable(t, c)
			a, b := embed(t, da, "10.0.0.1/24", Options{}), embed(t, db, "10.0.0.2/24", Options{})
			size := 4 << 20
			if c.Frames > 0 {
				size = 1 << 20
			}
			for _, ends := range [][2]*embedder{{a, b}, {b, a}} {
				client, server := ends[0], ends[1]
				server.listen(t, 7)
				conn, err := gonet.DialTCP(client.st, server.at(7), ipv4.ProtocolNumber)
				if err != nil {
					t.Fatal(err)
				}
				exchange(t, conn, size)
			}
			for _, e := range []*embedder{a, b} {
				for reason, n := range e.link.(Dropper).Drops() {
					if n > 0 {
						t.Errorf("%d packets were lost: %s", n, reason)
					}
				}
			}
		})
	}
}

// TestPing has the stacks answer each other's ping, of one frame and of many.
func TestPing(t *testing.T) {
	da, db := cable(t, loopback.Config{})
	a, b := embed(t, da, "10.0.0.1/24", Options{}), embed(t, db, "10.0.0.2/24", Options{})
	for _, size := range []int{56, 8000} {
		ping(t, a, b, size)
		ping(t, b, a, size)
	}
}

func ping(t *testing.T, from, to *embedder, size int) {
	t.Helper()
	var wq waiter.Queue
	ep, terr := from.st.NewEndpoint(icmp.ProtocolNumber4, ipv4.ProtocolNumber, &wq)
	if terr != nil {
		t.Fatal(terr)
	}
	defer ep.Close()
	readable, notify := waiter.NewChannelEntry(waiter.ReadableEvents)
	wq.EventRegister(&readable)
	defer wq.EventUnregister(&readable)

	request := header.ICMPv4(make([]byte, header.ICMPv4MinimumSize+size))
	request.SetType(header.ICMPv4Echo)
	payload := bytes.Repeat([]byte("ping"), size/4)
	copy(request.Payload(), payload)
	dest := tcpip.FullAddress{Addr: to.addr}
	if _, err := ep.Write(bytes.NewReader(request), tcpip.WriteOptions{To: &dest}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-notify:
	case <-time.After(patience):
		t.Fatalf("no answer to a ping of %d bytes", size)
	}
	var reply bytes.Buffer
	if _, err := ep.Read(&reply, tcpip.ReadOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := header.ICMPv4(reply.Bytes()); got.Type() != header.ICMPv4EchoReply || !bytes.Equal(got.Payload(), payload) {
		t.Errorf("the answer to a ping of %d bytes: type %d, %d bytes", size, got.Type(), len(got.Payload()))
	}
}

// TestFullDevice sends more than a device has room for to a far end that reads
// late and says nothing: what waits has to go out when there is room.
func TestFullDevice(t *testing.T) {
	near, far := cable(t, loopback.Config{Frames: 8})
	a := embed(t, near, "10.0.0.1/24", Options{})
	const packets = 50
	send := echoTo(t, a, far)
	for i := range packets {
		send(i)
	}
	for i, frame := range receive(t, far, packets) {
		if seq := header.ICMPv4(frame[hal.EthernetHeaderLen+header.IPv4MinimumSize:]).Sequence(); int(seq) != i {
			t.Errorf("packet %d came as number %d", seq, i)
		}
	}
}

// TestDelayedDevice is about a wrapper that holds packets back: the link has to
// come back for each of them, although nothing else happens.
func TestDelayedDevice(t *testing.T) {
	near, far := cable(t, loopback.Config{})
	faults, err := wrap.ParseFaults("delay=2ms")
	if err != nil {
		t.Fatal(err)
	}
	a := embed(t, wrap.Inject(near, wrap.InjectOptions{Faults: faults}), "10.0.0.1/24", Options{})
	send := echoTo(t, a, far)
	for i := range 5 {
		send(i)
		receive(t, far, 1)
	}
}

// echoTo returns a function that pings a device with a sequence number. The
// device is a neighbour without a stack: nothing comes back.
func echoTo(t *testing.T, from *embedder, dev hal.Device) func(seq int) {
	t.Helper()
	to := tcpip.FullAddress{Addr: tcpip.AddrFrom4([4]byte{10, 0, 0, 9})}
	mac := dev.Info().MAC
	if err := from.st.AddStaticNeighbor(1, ipv4.ProtocolNumber, to.Addr, tcpip.LinkAddress(mac[:])); err != nil {
		t.Fatal(err)
	}
	ep, err := from.st.NewEndpoint(icmp.ProtocolNumber4, ipv4.ProtocolNumber, new(waiter.Queue))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ep.Close)
	return func(seq int) {
		request := header.ICMPv4(make([]byte, header.ICMPv4MinimumSize))
		request.SetType(header.ICMPv4Echo)
		request.SetSequence(uint16(seq))
		if _, err := ep.Write(bytes.NewReader(request), tcpip.WriteOptions{To: &to}); err != nil {
			t.Fatalf("packet %d: %v", seq, err)
		}
	}
}

// receive returns copies of the next n frames that a device receives.
func receive(t *testing.T, dev hal.Device, n int) (frames [][]byte) {
	t.Helper()
	sleeper, err := hal.NewSleeper(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer sleeper.Close()
	rx, _, err := dev.Queue(0)
	if err != nil {
		t.Fatal(err)
	}
	fs := make([]hal.Frame, 8)
	for end := time.Now().Add(patience); len(frames) < n; {
		k, err := rx.Rx(fs)
		for i := range fs[:k] {
			frames = append(frames, bytes.Clone(fs[i].Data))
		}
		rx.Release(fs[:k])
		if k == 0 && err == nil {
			err = sleeper.Wait(end)
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("%d of %d frames came: %v", len(frames), n, err)
		}
	}
	return frames
}

func TestBadMTU(t *testing.T) {
	dev, _ := cable(t, loopback.Config{})
	for _, mtu := range []int{20, 1501} {
		if _, err := New(dev, Options{MTU: mtu}); err == nil {
			t.Errorf("an MTU of %d on a device of 1500 is fine", mtu)
		}
	}
	link, err := New(dev, Options{MTU: 1280})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	if got := link.MTU(); got != 1280 {
		t.Errorf("MTU %d, want 1280", got)
	}
}

// TestDeviceStays checks whose a device is when its link has been closed, and
// that it has all its frames back.
func TestDeviceStays(t *testing.T) {
	for _, theirs := range []bool{false, true} {
		da, db := cable(t, loopback.Config{Frames: 8})
		a, b := embed(t, da, "10.0.0.1/24", Options{CloseDevice: theirs}), embed(t, db, "10.0.0.2/24", Options{})
		ping(t, a, b, 56)
		if err := a.st.RemoveNIC(1); err != nil {
			t.Fatal(err)
		}
		a.link.Close() // again
		if a.link.IsAttached() {
			t.Error("the link is still attached")
		}
		_, tx, err := da.Queue(0)
		if theirs {
			if err == nil {
				_, err = tx.Alloc(make([]hal.Frame, 1), 60)
			}
			if !errors.Is(err, hal.ErrClosed) {
				t.Errorf("with CloseDevice the device is open after the link's end: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		fs := make([]hal.Frame, 1)
		var all []hal.Frame
		for range 8 {
			if n, err := tx.Alloc(fs, 60); n != 1 || err != nil {
				t.Fatalf("of 8 frames the link has kept all but %d: %v", len(all), err)
			}
			all = append(all, fs[0])
		}
		tx.Release(all)

		again := embed(t, da, "10.0.0.1/24", Options{})
		ping(t, again, b, 56)
	}
}

// TestDeviceFails closes a device under its link, which says so once. Removing
// the link in that moment is fine.
func TestDeviceFails(t *testing.T) {
	da, db := cable(t, loopback.Config{})
	failed := make(chan error, 2)
	var a *embedder
	ready := make(chan struct{})
	a = embed(t, da, "10.0.0.1/24", Options{OnError: func(err error) {
		<-ready
		if err := a.st.RemoveNIC(1); err != nil {
			t.Errorf("RemoveNIC in OnError: %v", err)
		}
		failed <- err
	}})
	close(ready)
	ping(t, a, embed(t, db, "10.0.0.2/24", Options{}), 56)
	da.Close()
	select {
	case err := <-failed:
		if !errors.Is(err, hal.ErrClosed) {
			t.Errorf("OnError(%v), want hal.ErrClosed", err)
		}
	case <-time.After(patience):
		t.Fatal("OnError was not called")
	}
	a.link.Wait() // has ended
	if len(failed) > 0 {
		t.Errorf("OnError was called again: %v", <-failed)
	}
}

// TestNeverAttached closes a link that no stack has had.
func TestNeverAttached(t *testing.T) {
	dev, _ := cable(t, loopback.Config{})
	link, err := New(dev, Options{CloseDevice: true})
	if err != nil {
		t.Fatal(err)
	}
	link.Wait() // there is nothing to wait for
	link.Close()
	if n, err := link.WritePackets(stack.PacketBufferList{}); n != 0 || err == nil {
		t.Errorf("a closed link takes packets: %d, %v", n, err)
	}
}

// TestRemoveUnderTraffic removes a link again and again while packets arrive:
// the stack's lock and the goroutine that delivers must not wait for each other.
func TestRemoveUnderTraffic(t *testing.T) {
	da, db := cable(t, loopback.Config{})
	b := embed(t, db, "10.0.0.2/24", Options{})
	for range 20 {
		a := embed(t, da, "10.0.0.1/24", Options{})
		a.listen(t, 7)
		conn, err := gonet.DialTCP(b.st, a.at(7), ipv4.ProtocolNumber)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for {
				if _, err := conn.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}()
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		a.st.Close()
		a.st.Wait()
		conn.Close()
		<-sent
	}
}
