package netlab

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ours returns the namespaces of this process that exist now.
func ours(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(fmt.Sprintf("%s/rt%d-*", dir, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestNothingIsLeftBehind(t *testing.T) {
	testenv.Need(t, "tap", Available())
	t.Run("lab", func(t *testing.T) {
		lab := New(t)
		lab.Namespace("a")
		lab.Namespace("b")
		if got := ours(t); len(got) != 2 {
			t.Errorf("namespaces %q, want two", got)
		}
	})
	if got := ours(t); len(got) != 0 {
		t.Errorf("namespaces %q after the test, want none", got)
	}
}

func TestCable(t *testing.T) {
	testenv.Need(t, "tap", Available())
	lab := New(t)
	a, b := lab.Namespace("a"), lab.Namespace("b")
	lab.Veth(
		Port{NS: a, Name: "eth0", Addrs: []string{"10.0.0.1/24", "fd00::1/64"}, MAC: "02:00:00:00:00:0a", MTU: 1400, Queues: 2},
		Port{NS: b, Name: "eth1", Addrs: []string{"10.0.0.2/24", "fd00::2/64"}, MTU: 1400},
	)
	err := a.Do(func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		at := link.Attrs()
		if at.MTU != 1400 || at.HardwareAddr.String() != "02:00:00:00:00:0a" || at.NumRxQueues != 2 {
			return fmt.Errorf("eth0 has MTU %d, MAC %v, %d queues", at.MTU, at.HardwareAddr, at.NumRxQueues)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}

	// A listener made inside serves from outside, at once, over IPv6 too.
	for _, addr := range []string{"10.0.0.2", "fd00::2", "127.0.0.1"} {
		at := b
		if addr == "127.0.0.1" {
			at = a
		}
		var ln net.Listener
		if err := at.Do(func() (err error) { ln, err = net.Listen("tcp", net.JoinHostPort(addr, "7")); return err }); err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if err := a.Do(func() error {
			c, err := net.DialTimeout("tcp", ln.Addr().String(), 5*time.Second)
			if err == nil {
				c.Close()
			}
			return err
		}); err != nil {
			t.Errorf("dial %s: %v", addr, err)
		}
	}
}

func TestRun(t *testing.T) {
	testenv.Need(t, "tap", Available())
	ns := New(t).Namespace("a")
	inside := strings.TrimSpace(ns.Run("readlink", "/proc/self/ns/net"))
	outside, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if inside == outside || !strings.HasPrefix(inside, "net:[") {
		t.Errorf("the command ran in %s, the test in %s", inside, outside)
	}
	var exit *exec.ExitError
	if err := ns.Command("false").Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("false: %v, want exit status 1", err)
	}
}

func TestDo(t *testing.T) {
	testenv.Need(t, "tap", Available())
	ns := New(t).Namespace("a")
	want := errors.New("mine")
	if err := ns.Do(func() error { return want }); err != want {
		t.Errorf("Do returned %v", err)
	}
	if err := ns.Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("Do hides that its function did not return")
	}
}

func TestFar(t *testing.T) {
	testenv.Need(t, "tap", Available())
	lab := New(t)
	a, b := lab.Namespace("a"), lab.Namespace("b")
	lab.Veth(Port{NS: a, Name: "eth0"}, Port{NS: b, Name: "eth0"})
	from, to := a.Far(t, "eth0"), b.Far(t, "eth0")
	// An EtherType for experiments (IEEE Std 802), so that only we speak it.
	frame := append([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5"), bytes.Repeat([]byte("x"), 50)...)
	blank := hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 6}
	for _, want := range []hal.Meta{{}, blank} {
		if err := from.SendMeta(frame, want); err != nil {
			t.Fatal(err)
		}
		for {
			got, m, err := to.RecvMeta(5 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, frame) {
				continue // the kernel's own chatter (MLD, NDP) comes between
			}
			m.CsumValid = false // that is for the kernel to say
			if m != want {
				t.Errorf("received with %+v, sent with %+v", m, want)
			}
			break
		}
	}
	for {
		got, err := from.Recv(0)
		if err != nil {
			break
		}
		if bytes.Equal(got, frame) {
			t.Error("the socket reads what its own side sends")
		}
	}
}

func TestSweep(t *testing.T) {
	testenv.Need(t, "tap", Available())
	dead := exec.Command("true")
	if err := dead.Run(); err != nil { // reaped: its id is free now
		t.Fatal(err)
	}
	name := fmt.Sprintf("rt%d-1a", dead.Process.Pid)
	if err := create(name); err != nil {
		t.Fatal(err)
	}
	living := New(t).Namespace("a")
	if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
		netns.DeleteNamed(name)
		t.Errorf("%s outlives New: %v", name, err)
	}
	New(t)
	if _, err := os.Stat(living.Path()); err != nil {
		t.Errorf("the sweep took a living namespace: %v", err)
	}
}

func TestOwner(t *testing.T) {
	for name, want := range map[string]int{"rt12-1a": 12, "rt0-1a": 0, "rt-1a": 0, "rtx-1": 0, "rt12": 0, "other": 0} {
		pid, ok := owner(name)
		if ok != (want > 0) || ok && pid != want {
			t.Errorf("owner(%q) = %d, %v", name, pid, ok)
		}
	}
}
