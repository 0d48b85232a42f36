package packet

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

func TestOpened(t *testing.T) {
	lab, ours, theirs := hosts(t)
	lab.Veth(
		netlab.Port{NS: ours, Name: "veth0", MAC: "02:00:00:00:00:07", MTU: 1400},
		netlab.Port{NS: theirs, Name: "veth0", MTU: 1400},
	)
	for spec, mode := range map[string]string{"packet:veth0": "vnet", "packet:veth0?ring": "vnet, ring"} {
		i := openIn(t, ours, spec).Info()
		if i.Driver != "packet" || i.Name != "veth0" || i.Mode != mode || i.MTU != 1400 || i.Queues != 1 || i.Link != hal.LinkUp ||
			i.MAC != (hal.MAC{2, 0, 0, 0, 0, 7}) || !i.SharedMAC || i.GSOMax < 65535 ||
			!i.TxOffloads.Carries(hal.Meta{NeedsCsum: true, GSO: hal.GSOTCP6}) {
			t.Errorf("%s: %+v", spec, i)
		}
	}
}

func TestRefused(t *testing.T) {
	ours, theirs := cable(t)
	ours.Run("ip", "link", "set", "veth0", "address", "02:00:00:00:00:07")
	before := descriptors(t)
	for spec, want := range map[string]string{
		"packet:":                                  "the name of an interface is missing",
		"packet:sixteen-bytes-is":                  "16 bytes",
		"packet:a%2fb":                             "not allowed",
		"packet:veth9":                             "ip link",
		"packet:lo":                                "carries no Ethernet",
		"packet:veth0?queues=0":                    "from 1 to 256",
		"packet:veth0?mtu=9000":                    "ip link set veth0 mtu 9000",
		"packet:veth0?mtu=20":                      "from 68",
		"packet:veth0?mac=junk":                    "02:00:00:00:00:01",
		"packet:veth0?mac=01:00:5e:00:00:01":       "not the address of one station",
		"packet:veth0?mac=02:00:00:00:00:07":       "leave it out",
		"packet:veth0?mac=02:00:00:00:00:08&x=1":   "no key",
		"packet:veth0?mac=00:00:00:00:00:00":       "must not be zero",
		"packet:veth0?ring=maybe":                  "on, off",
		"packet:veth0?mtu=1500&mac=02:00:00:00:00": "02:00:00:00:00:01",
	} {
		_, err := tryIn(ours, spec)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", spec, err, want)
		}
	}
	for spec, want := range map[string]string{
		"packet:veth0?netns=no-such":     "ip netns add no-such",
		"packet:veth0?netns=/etc/passwd": "not a network namespace",
	} {
		if _, err := hal.Open(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after failed opens", before, after)
	}
	dev := openIn(t, theirs, "packet:veth0?queues=2")
	if _, _, err := dev.Queue(2); err == nil {
		t.Error("there is a third queue of two")
	}
}

// descriptors counts the open ones of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// rings counts the mappings of rings in this process.
func rings(t *testing.T) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(maps), "socket:[")
}

func TestNothingStays(t *testing.T) {
	ours, _ := cable(t)
	openIn(t, ours, "packet:veth0").Close()
	before, mapped := descriptors(t), rings(t)
	specs := []string{"packet:veth0", "packet:veth0?ring&queues=2", "packet:veth0?queues=3", "packet:veth0?mac=02:00:00:00:00:99"}
	for i := range 50 {
		dev := openIn(t, ours, specs[i%len(specs)])
		for range 2 {
			if err := dev.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if after := rings(t); after != mapped {
		t.Errorf("%d rings mapped before, %d after", mapped, after)
	}
	if out := ours.Run("cat", "/proc/net/packet"); strings.Count(out, "\n") != 1 {
		t.Errorf("packet sockets are left:\n%s", out)
	}
	// Every thread is where it began, once those of Open have ended.
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for end := testEnd(); ; time.Sleep(time.Millisecond) {
		stray := 0
		tasks, _ := os.ReadDir("/proc/self/task")
		for _, task := range tasks {
			if at, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net"); err == nil && at != home {
				stray++
			}
		}
		if stray == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d threads are in another namespace", stray)
		}
	}
}

// TestRingAfterClose: frames of a ring that is closed can be read, and written, as
// long as they are on loan; the kernel's memory is given back at once, and the
// addresses when the last frame comes back.
func TestRingAfterClose(t *testing.T) {
	ours, theirs := cable(t)
	dev := openIn(t, ours, "packet:veth0?ring")
	before := rings(t)
	far := theirs.Far(t, "veth0")
	rx, _ := halves(t, dev)
	var held []hal.Frame
	fs := make([]hal.Frame, 4)
	for end := testEnd(); len(held) < 8; {
		if err := far.Send(experiment(dev.Info().MAC, 60)); err != nil {
			t.Fatal(err)
		}
		n, err := rx.Rx(fs)
		if err != nil || time.Now().After(end) {
			t.Fatal(n, err)
		}
		held = append(held, fs[:n]...)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // somebody reads and writes all the while
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				for _, f := range held {
					f.Data[20] += f.Data[21]
				}
			}
		}
	}()
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	if after := rings(t); after != before-1 {
		t.Errorf("%d rings before Close, %d after", before, after)
	}
	close(stop)
	<-stopped
	q := rx.(*ringRx)
	rx.Release(held[1:])
	if q.mem == nil {
		t.Error("unmapped with a frame on loan")
	}
	held[0].Data[0]++
	rx.Release(held[:1])
	rx.Release(held) // does nothing
	if q.mem != nil {
		t.Error("not unmapped when the last frame came back")
	}
	if _, err := rx.Rx(fs); !errors.Is(err, hal.ErrClosed) {
		t.Error(err)
	}
}

func TestProbe(t *testing.T) {
	testenv.Need(t, "packet", netlab.Available())
	if err := probe(); err != nil {
		t.Error(err)
	}
}
