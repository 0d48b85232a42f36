package stack

import (
	"maps"
	"net/netip"
	"slices"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/hal"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// groups counts the memberships of the host's sockets, by group, so that a
// shared device is told which multicast traffic is wanted.
type groups map[netip.Addr]int

// membership executes api.KindJoin and api.KindLeave.
func (s *socket) membership(op *api.Op) error {
	if s.network.Stream() {
		return syscall.EPROTO
	}
	h := s.h
	group := op.Addr.Addr().Unmap()
	if !group.IsMulticast() {
		return syscall.EINVAL
	}
	if len(h.interfaces) == 0 {
		return syscall.ENODEV
	}
	i := h.interfaces[0]
	for _, f := range h.interfaces {
		if f.name == group.Zone() {
			i = f
		}
	}
	m := tcpip.MembershipOption{NIC: i.id, MulticastAddr: address(group)}
	group = group.WithZone("")
	if op.Kind == api.KindLeave {
		o := tcpip.RemoveMembershipOption(m)
		if err := s.ep.SetSockOpt(&o); err != nil {
			return errno(err)
		}
		delete(s.joined, group)
		return h.countGroup(i, group, -1)
	}
	// The device is told first: an answer to the report that follows must
	// not get lost.
	if err := h.countGroup(i, group, +1); err != nil {
		return err
	}
	o := tcpip.AddMembershipOption(m)
	if err := s.ep.SetSockOpt(&o); err != nil {
		h.countGroup(i, group, -1)
		return errno(err)
	}
	if s.joined == nil {
		s.joined = map[netip.Addr]*iface{}
	}
	s.joined[group] = i
	return nil
}

// leaveAll ends the memberships of a socket that is being closed.
func (s *socket) leaveAll() {
	for _, group := range slices.SortedFunc(maps.Keys(s.joined), netip.Addr.Compare) {
		s.h.countGroup(s.joined[group], group, -1)
	}
	s.joined = nil
}

func (h *Host) countGroup(i *iface, group netip.Addr, by int) error {
	if h.groups == nil {
		h.groups = groups{}
	}
	was := h.groups[group]
	h.groups[group] = was + by
	if h.groups[group] <= 0 {
		delete(h.groups, group)
	}
	if (was > 0) == (was+by > 0) {
		return nil
	}
	return h.steer(i)
}

// steer tells a shared device what traffic is the host's: its addresses, and
// the groups that go with them.
func (h *Host) steer(i *iface) error {
	l := hal.Local{Groups: slices.SortedFunc(maps.Keys(h.groups), netip.Addr.Compare)}
	for _, p := range i.addrs {
		a := p.Addr().Unmap()
		l.Addrs = append(l.Addrs, a)
		if a.Is6() {
			l.Groups = append(l.Groups, addr(header.SolicitedNodeAddr(address(a))))
		}
	}
	return hal.SetLocal(i.dev, l)
}
