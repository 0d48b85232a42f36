package packet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/internal/netif"
)

// inspect looks at an interface for what the package comment asks of it.
func inspect(c Config) (facts []hal.Fact, err error) {
	err = netif.InNetNS(c.NetNS, func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("netlink: %w", err)
		}
		defer nl.Close()
		link, err := find(nl, c.Name)
		if err != nil {
			return err
		}
		s := sight{Config: c, nl: nl, link: link, LinkAttrs: link.Attrs()}
		for _, look := range []func() hal.Fact{s.state, s.kind, s.port, s.station, s.length, s.superFrames, s.addrs, s.route, s.forwarding, s.proxyARP, s.rights, s.buffer} {
			facts = append(facts, look())
		}
		return nil
	})
	return facts, err
}

// sight is an interface that is being looked at.
type sight struct {
	Config
	*netlink.LinkAttrs
	nl   *netlink.Handle
	link netlink.Link
}

// station says which MAC address is ours.
func (s *sight) station() hal.Fact {
	f := hal.Fact{Name: "MAC address", Value: s.HardwareAddr.String() + ", the kernel's too"}
	if s.Config.MAC != (hal.MAC{}) {
		f.Value = fmt.Sprintf("%v (the kernel's is %v)", s.Config.MAC, s.HardwareAddr)
	}
	return f
}

func (s *sight) kind() hal.Fact { return hal.Fact{Name: "kind", Value: s.link.Type()} }

func (s *sight) length() hal.Fact {
	return hal.Fact{Name: "MTU", Value: fmt.Sprint(s.LinkAttrs.MTU)}
}

// superFrames tells how long the kernel makes those that it merges of what arrives.
func (s *sight) superFrames() hal.Fact {
	const most = 1 << 16
	longest := max(s.GROMaxSize, s.GROIPv4MaxSize)
	f := hal.Fact{Name: "super-frames", Value: fmt.Sprintf("up to %d bytes", longest)}
	cure := "ip link set " + s.LinkAttrs.Name
	if s.GROMaxSize > most {
		cure += fmt.Sprintf(" gro_max_size %d", most)
	}
	if s.GROIPv4MaxSize > most {
		cure += fmt.Sprintf(" gro_ipv4_max_size %d", most)
	}
	switch {
	case longest == 0:
		f.Value = "of a length that this kernel does not tell"
	case longest > most:
		f.Problem = "those longer than 64 KiB (BIG TCP) will be lost: " + cure
	}
	return f
}

func (s *sight) rights() hal.Fact {
	f := hal.Fact{Name: "capabilities", Value: "all that are needed"}
	if err := probe(); err != nil {
		f.Value, f.Problem = "without CAP_NET_RAW", err.Error()
	}
	return f
}

func (s *sight) state() hal.Fact {
	f := hal.Fact{Name: "link", Value: stateOf(s.LinkAttrs).String()}
	switch {
	case s.RawFlags&unix.IFF_UP == 0:
		f.Problem = fmt.Sprintf("the interface is down: ip link set %s up", s.LinkAttrs.Name)
	case s.RawFlags&unix.IFF_RUNNING == 0:
		f.Problem = "it has no carrier: look at the cable and at its other end"
	}
	return f
}

// port tells of a bridge or bond that the interface belongs to.
func (s *sight) port() hal.Fact {
	f := hal.Fact{Name: "port of", Value: "nothing"}
	if s.MasterIndex == 0 {
		return f
	}
	f.Value = fmt.Sprintf("interface %d", s.MasterIndex)
	if m, err := s.nl.LinkByIndex(s.MasterIndex); err == nil {
		f.Value = m.Attrs().Name + ", a " + m.Type()
		f.Problem = fmt.Sprintf("what arrives belongs to %s, which passes it on as well: open packet:%s instead", m.Attrs().Name, m.Attrs().Name)
	}
	return f
}

func (s *sight) addrs() hal.Fact {
	f := hal.Fact{Name: "the kernel's addresses", Value: "none"}
	list, err := s.nl.AddrList(s.link, netlink.FAMILY_ALL)
	if err != nil {
		f.Value = "not known: " + err.Error()
		return f
	}
	var text []string
	for _, a := range list {
		text = append(text, a.IPNet.String())
	}
	if text != nil {
		f.Value = strings.Join(text, ", ") + " (ours must be others)"
	}
	return f
}

// route tells of the machine's way out. It stays the kernel's, so that it is nothing
// to be afraid of; but to know it helps to find the right interface.
func (s *sight) route() hal.Fact {
	f := hal.Fact{Name: "default route", Value: "none"}
	switch route, err := netif.DefaultRoute(s.nl, s.LinkAttrs); {
	case err != nil:
		f.Value = "not known: " + err.Error()
	case route != "":
		f.Value = route + " (the kernel keeps it)"
	}
	return f
}

// forwarding tells whether the kernel forwards what arrives at the interface.
func (s *sight) forwarding() hal.Fact {
	return s.sysctls("forwarding", "the kernel would send packets for us out again",
		"net/ipv4/conf/"+s.LinkAttrs.Name+"/forwarding", "net/ipv6/conf/all/forwarding")
}

// proxyARP tells whether the kernel answers for others.
func (s *sight) proxyARP() hal.Fact {
	var files []string
	for _, name := range []string{"all", s.LinkAttrs.Name} {
		files = append(files, "net/ipv4/conf/"+name+"/proxy_arp", "net/ipv4/conf/"+name+"/proxy_arp_pvlan")
	}
	return s.sysctls("proxy ARP", "the kernel may answer ARP requests for our addresses", files...)
}

// sysctls makes a fact of switches that must be off, unless our MAC address is
// not the kernel's. One that is not there is off.
func (s *sight) sysctls(name, harm string, files ...string) hal.Fact {
	f := hal.Fact{Name: name, Value: "off"}
	var off []string
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join("/proc/sys", file))
		if v := strings.TrimSpace(string(data)); err == nil && v != "0" {
			off = append(off, sysctlName(file)+"=0")
		}
	}
	if off == nil {
		return f
	}
	f.Value = "on"
	if s.Config.MAC == (hal.MAC{}) {
		f.Problem = fmt.Sprintf("%s: sysctl -w %s, or take a MAC address of our own with mac=", harm, strings.Join(off, " "))
	}
	return f
}

// sysctlName writes a file of /proc/sys as sysctl(8) reads it: a dot in the name of
// an interface stands where the separators were.
func sysctlName(file string) string {
	return strings.NewReplacer("/", ".", ".", "/").Replace(file)
}

// buffer tells how much a receiving socket can hold.
func (s *sight) buffer() hal.Fact {
	f := hal.Fact{Name: "receive buffer", Value: "in the ring"}
	if s.Ring {
		return f
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.Value = "not known: " + err.Error()
		return f
	}
	defer unix.Close(fd)
	makeRoom(fd)
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if got /= 2; err == nil { // the kernel doubles it, for its own needs
		f.Value = fmt.Sprintf("%d KiB", got>>10)
		if got < roomy {
			f.Problem = fmt.Sprintf("bursts will be lost: sysctl -w net.core.rmem_max=%d, or give the program CAP_NET_ADMIN too", roomy)
		}
	}
	return f
}
