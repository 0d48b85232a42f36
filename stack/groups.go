package stack

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// groups counts the memberships of sockets on an interface, by group, so that a
// shared device is told which multicast traffic is wanted.
type groups map[netip.Addr]int

// A membership is a group joined on an interface.
type membership struct {
	i     *iface
	group netip.Addr
}

// membership executes api.KindJoin and api.KindLeave. A zone of the group's
// address names the interface; without one it is the first.
func (s *socket) membership(op *api.Op) error {
	if s.network.Stream() {
		return syscall.EPROTO
	}
	h := s.h
	group := op.Addr.Addr().Unmap()
	if !group.IsMulticast() {
		return syscall.EINVAL
	}
	i := h.zone(group.Zone())
	if i == nil {
		if op.Kind == api.KindLeave {
			return syscall.EADDRNOTAVAIL // nobody is a member there
		}
		return syscall.ENODEV
	}
	m := membership{i, group.WithZone("")}
	opt := tcpip.MembershipOption{NIC: i.id, MulticastAddr: address(group)}
	if op.Kind == api.KindLeave {
		o := tcpip.RemoveMembershipOption(opt)
		if err := s.ep.SetSockOpt(&o); err != nil {
			return errno(err)
		}
		delete(s.joined, m)
		return h.countGroup(m, -1)
	}
	// The device is told first: an answer to the report that follows must
	// not get lost.
	if err := h.countGroup(m, +1); err != nil {
		return err
	}
	o := tcpip.AddMembershipOption(opt)
	if err := s.ep.SetSockOpt(&o); err != nil {
		h.countGroup(m, -1)
		return errno(err)
	}
	if s.joined == nil {
		s.joined = map[membership]bool{}
	}
	s.joined[m] = true
	return nil
}

// zone returns the interface of a name, the first one for no name, or nil if there
// is none.
func (h *Host) zone(name string) *iface {
	for _, i := range h.interfaces {
		if name == "" || name == i.name {
			return i
		}
	}
	return nil
}

// leaveAll ends the memberships of a socket that is being closed.
func (s *socket) leaveAll() {
	all := slices.SortedFunc(maps.Keys(s.joined), func(a, b membership) int {
		return cmp.Or(cmp.Compare(a.i.id, b.i.id), a.group.Compare(b.group))
	})
	for _, m := range all {
		s.h.countGroup(m, -1)
	}
	s.joined = nil
}

func (h *Host) countGroup(m membership, by int) error {
	if m.i.groups == nil {
		m.i.groups = groups{}
	}
	was := m.i.groups[m.group]
	m.i.groups[m.group] = was + by
	if was+by <= 0 {
		delete(m.i.groups, m.group)
	}
	if (was > 0) == (was+by > 0) {
		return nil
	}
	return h.steer(m.i)
}

// resteer is steer where nobody could do better than take note of a failure.
func (h *Host) resteer(i *iface) {
	if err := h.steer(i); err != nil {
		h.log.Warn("the device cannot be told what is ours", "host", h.name, "interface", i.name, "err", err)
	}
}

// The groups that every station is in (RFC 1112, RFC 4291 section 2.7.1).
var (
	allSystems = netip.MustParseAddr("224.0.0.1")
	allNodes   = netip.MustParseAddr("ff02::1")
)

// steer tells a shared device what traffic is the host's: its addresses, and
// the groups that go with them.
func (h *Host) steer(i *iface) error {
	if i.failed != nil {
		return nil // nothing arrives any more, whatever it is told
	}
	var l hal.Local
	wanted := maps.Clone(i.groups)
	if wanted == nil {
		wanted = groups{}
	}
	for _, p := range i.addrs {
		l.Addrs = append(l.Addrs, p.Addr().Unmap())
	}
	for _, a := range i.auto {
		l.Addrs = append(l.Addrs, a.Addr())
	}
	if c := i.dhcp; c != nil {
		l.DHCP = c.open
		if c.bound != nil {
			l.Addrs = append(l.Addrs, c.bound.Addr.Addr())
		}
		if c.candidate.IsValid() {
			l.Addrs = append(l.Addrs, c.candidate)
		}
	}
	for _, a := range l.Addrs {
		if a.Is4() {
			wanted[allSystems]++
			continue
		}
		wanted[allNodes]++
		wanted[addr(header.SolicitedNodeAddr(address(a)))]++
	}
	l.Groups = slices.SortedFunc(maps.Keys(wanted), netip.Addr.Compare)
	return hal.SetLocal(i.dev, l)
}
