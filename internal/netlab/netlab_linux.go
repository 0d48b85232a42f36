package netlab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// dir is where ip-netns(8) keeps its names.
const dir = "/run/netns"

// Available says whether a lab can be built here: nil, or an error that names
// what is missing and how to get it. It leaves nothing behind.
func Available() error { return available() }

var available = sync.OnceValue(func() error {
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("the command %s is missing (install iproute2 and util-linux)", tool)
		}
	}
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("/dev/net/tun is missing (modprobe tun; in a container --device /dev/net/tun)")
	case err != nil:
		return fmt.Errorf("%w (run the tests as root)", err)
	}
	tun.Close()
	name := fmt.Sprintf("rt%d-probe", os.Getpid())
	if err := create(name); err != nil {
		return fmt.Errorf("cannot make a network namespace: %w (run the tests as root, in a container with --privileged)", err)
	}
	return netns.DeleteNamed(name)
})

// labs numbers the labs of this process: tests may run side by side.
var labs atomic.Int64

// A Lab is the network of one test. It lives until the test ends.
type Lab struct {
	t      testing.TB
	prefix string
}

// New starts an empty lab, after removing the namespaces of dead processes. It
// fails the test where [Available] fails: ask first.
func New(t testing.TB) *Lab {
	t.Helper()
	if err := Available(); err != nil {
		t.Fatal("netlab: ", err)
	}
	if err := sweep(); err != nil {
		t.Logf("netlab: remains of a killed run: %v", err)
	}
	return &Lab{t: t, prefix: fmt.Sprintf("rt%d-%d", os.Getpid(), labs.Add(1))}
}

// sweep removes the namespaces of processes that are no more.
func sweep() error {
	names, err := filepath.Glob(dir + "/rt*-*")
	for _, path := range names {
		name := filepath.Base(path)
		pid, ok := owner(name)
		if !ok || unix.Kill(pid, 0) != unix.ESRCH {
			continue
		}
		// Another run may sweep at the same time: gone is what we want.
		if e := netns.DeleteNamed(name); e != nil && !errors.Is(e, fs.ErrNotExist) && !errors.Is(e, unix.EINVAL) {
			err = errors.Join(err, fmt.Errorf("%s: %w", name, e))
		}
	}
	return err
}

// owner reads the process id out of the name of a namespace.
func owner(name string) (pid int, ok bool) {
	digits, _, ok := strings.Cut(strings.TrimPrefix(name, "rt"), "-")
	pid, err := strconv.Atoi(digits)
	return pid, ok && err == nil && pid > 0
}

// Namespace adds an empty namespace. The name is for people: it becomes the end
// of the real one.
func (l *Lab) Namespace(name string) *Namespace {
	l.t.Helper()
	ns := &Namespace{t: l.t, name: l.prefix + name}
	if err := create(ns.name); err != nil {
		l.t.Fatalf("netlab: namespace %s: %v", ns.name, err)
	}
	l.t.Cleanup(func() {
		if err := netns.DeleteNamed(ns.name); err != nil {
			l.t.Errorf("netlab: namespace %s is left behind: %v", ns.name, err)
		}
	})
	if err := ns.Do(prepare); err != nil {
		l.t.Fatalf("netlab: namespace %s: %v", ns.name, err)
	}
	return ns
}

// create makes a named namespace and leaves the caller where it is.
func create(name string) error {
	return onThread(func() error {
		h, err := netns.NewNamed(name)
		if err != nil {
			os.Remove(filepath.Join(dir, name)) // the empty file it may have made
			return err
		}
		return h.Close()
	})
}

// prepare brings up what every namespace should have.
func prepare() error {
	for file, value := range map[string]string{
		"all/disable_ipv6":     "0",
		"default/disable_ipv6": "0",
		"default/accept_dad":   "0",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+file, []byte(value), 0); err != nil {
			return err
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// Veth joins two ports by a cable and returns when they carry packets.
func (l *Lab) Veth(a, b Port) {
	l.t.Helper()
	err := a.NS.Do(func() error {
		peer, err := netns.GetFromPath(b.NS.Path())
		if err != nil {
			return err
		}
		defer peer.Close()
		attrs := netlink.NewLinkAttrs()
		attrs.Name = a.Name
		attrs.NumTxQueues, attrs.NumRxQueues = max(a.Queues, 1), max(a.Queues, 1)
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs:       attrs,
			PeerName:        b.Name,
			PeerNamespace:   netlink.NsFd(peer),
			PeerNumTxQueues: uint32(max(b.Queues, 1)),
			PeerNumRxQueues: uint32(max(b.Queues, 1)),
		})
	})
	for _, step := range []func() error{a.configure, b.configure, a.ready, b.ready} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		l.t.Fatalf("netlab: cable from %s in %s to %s in %s: %v", a.Name, a.NS.name, b.Name, b.NS.name, err)
	}
}

// ready waits until the kernel has noticed that both ends of the cable are up.
// It does so a moment later, and until then drops what is sent.
func (p Port) ready() error {
	deadline := time.Now().Add(10 * time.Second)
	return p.NS.Do(func() error {
		for {
			link, err := netlink.LinkByName(p.Name)
			if err != nil || link.Attrs().OperState == netlink.OperUp {
				return err
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s is %v", p.Name, link.Attrs().OperState)
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// configure gives an interface what its port says.
func (p Port) configure() error { return p.NS.Do(p.configureHere) }

func (p Port) configureHere() error {
	link, err := netlink.LinkByName(p.Name)
	if err != nil {
		return err
	}
	if p.MAC != "" {
		mac, err := net.ParseMAC(p.MAC)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetHardwareAddr(link, mac); err != nil {
			return err
		}
	}
	if p.MTU != 0 {
		if err := netlink.LinkSetMTU(link, p.MTU); err != nil {
			return err
		}
	}
	for _, cidr := range p.Addrs {
		addr, err := netlink.ParseAddr(cidr)
		if err != nil {
			return err
		}
		if addr.IP.To4() == nil {
			addr.Flags |= unix.IFA_F_NODAD // or it waits for the cable
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("address %s: %w", cidr, err)
		}
	}
	return netlink.LinkSetUp(link)
}

// onThread runs f on a thread that f may take to another namespace. The thread
// is brought back; where that fails it ends, and nobody else runs on it.
func onThread(f func() error) error {
	err := errors.New("the function left by runtime.Goexit: call t.Fatal outside")
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		home, e := netns.Get()
		if e != nil {
			err = e
			return
		}
		defer func() {
			if netns.Set(home) == nil {
				runtime.UnlockOSThread()
			}
			home.Close()
		}()
		err = f()
	}()
	<-done
	return err
}
