package afxdp

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// TestRefusals: what Open refuses, with one line that names what helps, and what
// Inspect says about it.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name  string
		setup []string // of the near end, a command of ip each
		spec  string
		want  string // in the error; "": none
		fact  string // that has the problem
	}{
		{"nothing wrong", nil, "veth0", "", ""},
		{"default route", []string{"route add default via 10.0.0.9"}, "veth0", "force", "default route"},
		{"default route, without gateway", []string{"route add default dev veth0"}, "veth0", "force", "default route"},
		{"default route over IPv6", []string{"-6 route add default via fd00::9 dev veth0"}, "veth0", "force", "default route"},
		{"default route of another table", []string{"route add default via 10.0.0.9 table 77"}, "veth0", "force", "default route"},
		{"default route of several hops", []string{"route add default nexthop via 10.0.0.9 nexthop via 10.0.0.8"}, "veth0", "force", "default route"},
		{"default route of a bridge", []string{"link add br0 type bridge", "link set br0 up", "link set veth0 master br0", "route add default dev br0"}, "veth0", "force", "default route"},
		{"the kernel's station", nil, "veth0?filter=mac:" + kernelMAC.String(), "filter=all", "MAC address"},
		{"default route, and force", []string{"route add default via 10.0.0.9"}, "veth0?force", "", ""},
		{"unreachable by default", []string{"route add unreachable default"}, "veth0", "", ""},
		{"down", []string{"link set veth0 down"}, "veth0", "ip link set dev veth0 up", "link"},
		{"no such interface", nil, "veth7", "there is no interface veth7", "error"},
		{"no Ethernet", nil, "lo", "no Ethernet", "link"},
		{"too many queues", nil, "veth0?queues=3", "queues=1", "queues"},
		{"MTU", []string{"link set veth0 mtu 9217"}, "veth0", "ip link set dev veth0 mtu 9000", "MTU"},
		{"generic mode where the cable is bad for it", nil, "veth0?mode=generic", "", ""},
		{"no such namespace", nil, "veth0?netns=nosuch", "ip netns add nosuch", "error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := sharedCable(t, "10.0.0.1/24", "fd00::1/64")
			for _, args := range test.setup {
				c.near.Run("ip", strings.Fields(args)...)
			}
			c.refuses(t, test.spec, test.want, test.fact)
		})
	}
}

// refuses opens and inspects a spec.
func (c cable) refuses(t *testing.T, spec, want, fact string) {
	t.Helper()
	facts, inspectErr := c.inspect(t, spec)
	problem := ""
	for _, f := range facts {
		if f.Problem != "" {
			problem += f.Name
			if !strings.Contains(f.Problem, want) && f.Name == fact {
				t.Errorf("fact %s: problem %q, want %q", f.Name, f.Problem, want)
			}
		}
	}
	if inspectErr != nil {
		problem = "error"
	}
	if problem != fact && spec != "lo" { // that has several
		t.Errorf("problems %q, want %q: %+v", problem, fact, facts)
	}
	var dev hal.Device
	err := c.near.Do(func() (err error) { dev, err = hal.Open("afxdp:" + spec); return err })
	if err == nil {
		dev.Close()
	}
	switch {
	case want == "" && err != nil:
		t.Error(err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")):
		t.Errorf("%v, want one line with %q", err, want)
	}
	if c.program(t) {
		t.Error("a program is attached still")
	}
}

func (c cable) inspect(t *testing.T, spec string) (facts []hal.Fact, err error) {
	t.Helper()
	s, err := hal.ParseSpec("afxdp:" + spec)
	if err != nil {
		t.Fatal(err)
	}
	err = c.near.Do(func() (err error) { facts, err = inspect(s); return err })
	return facts, err
}

// program reports whether an XDP program is attached.
func (c cable) program(t *testing.T) (attached bool) {
	t.Helper()
	err := c.near.Do(func() error {
		l, err := netlink.LinkByName("veth0")
		if err == nil {
			x := l.Attrs().Xdp
			attached = x != nil && x.Attached
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return attached
}

// TestAnotherProgram: somebody else's XDP program is left alone.
func TestAnotherProgram(t *testing.T) {
	c := sharedCable(t)
	other, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var l link.Link
	err = c.near.Do(func() error {
		i, err := find("veth0")
		if err != nil {
			return err
		}
		defer i.nl.Close()
		l, err = link.AttachXDP(link.XDPOptions{Program: other, Interface: i.index})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.tryOpen("")
	if err == nil || !strings.Contains(err.Error(), "ip link set dev veth0 xdp off") {
		t.Errorf("%v, want the command that removes it", err)
	}
	if !c.program(t) {
		t.Error("the other program is gone")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c.open(t, "")
}

// TestUnevenCable: natively a virtual cable wants as many queues to receive as its
// other end has to transmit. The ways out are named: queues, or generic mode with a
// peer that sends what it can take.
func TestUnevenCable(t *testing.T) {
	testenv.Need(t, "afxdp", available())
	lab := netlab.New(t)
	c := cable{near: lab.Namespace("n"), far: lab.Namespace("f")}
	lab.Veth(netlab.Port{NS: c.near, Name: "veth0"}, netlab.Port{NS: c.far, Name: "eth0", Queues: 2})
	for _, want := range []string{"ethtool -L", "ethtool -K PEER tso off gso off tx off (PEER is interface", "mode=generic"} {
		c.refuses(t, "veth0", want, "native XDP")
	}
	c.refuses(t, "veth0?mode=native", "as many receive queues", "native XDP")
	c.refuses(t, "veth0?mode=generic", "", "")

	// With both ends in one namespace the other end has a name.
	c.far.Run("ip", "link", "set", "eth0", "netns", c.near.Name())
	c.near.Run("ip", "link", "set", "eth0", "up")
	c.refuses(t, "veth0", "ethtool -K eth0 tso off gso off tx off,", "native XDP")
}

// TestGarbageCollector: a device that only its halves refer to stays attached.
func TestGarbageCollector(t *testing.T) {
	c := sharedCable(t)
	rx, _ := halves(t, c.open(t, "?filter=all"))
	for range 3 {
		runtime.GC()
	}
	if !c.program(t) {
		t.Error("the garbage collector has detached the program")
	}
	runtime.KeepAlive(rx)
}

// TestKilled: a process that is killed leaves nothing on the interface, and the
// kernel has its traffic back.
func TestKilled(t *testing.T) {
	if spec := os.Getenv("AFXDP_HOLD"); spec != "" {
		hold(t, spec)
		return
	}
	c := sharedCable(t, "10.0.0.1/24", "fd00::1/64")
	cmd := c.near.Command(os.Args[0], "-test.run=^TestKilled$", "-test.v")
	cmd.Env = append(os.Environ(), "AFXDP_HOLD=afxdp:veth0?filter=all")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(out); !strings.Contains(said, "holding") && lines.Scan(); {
		said += lines.Text() + "\n"
	}
	if !strings.Contains(said, "holding") || !c.program(t) {
		t.Fatalf("the other process does not hold the interface: %s", said)
	}
	if c.far.Command("ping", "-c", "1", "-W", "1", "10.0.0.1").Run() == nil {
		t.Error("the kernel answers, though all frames are the other process's")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if c.program(t) {
		t.Error("the program is attached still")
	}
	for _, addr := range []string{"10.0.0.1", "fd00::1"} {
		c.far.Run("ping", "-c", "1", "-W", "10", addr)
	}
	c.open(t, "") // and the queue is free
}

// hold opens a device and waits to be killed.
func hold(t *testing.T, spec string) {
	dev, err := hal.Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	fmt.Println("holding")
	select {}
}
