package afxdp

import (
	"encoding/binary"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What the kernel says about an interface by generic netlink. All of it is news of
// some version of the kernel: whoever asks does without an answer too.

// genlHeader is command and version of a request. The library's own type for it is
// two bytes too short, and lets chance fill in the rest, which must be zero.
type genlHeader [nl.SizeofGenlmsg]byte

// Len and Serialize implement [nl.NetlinkRequestData].
func (h genlHeader) Len() int          { return len(h) }
func (h genlHeader) Serialize() []byte { return h[:] }

// ask sends one question about the interface of the attribute and returns the
// attributes of the answer, nil if there is none.
func ask(family string, command uint8, about *nl.RtAttr) map[uint16][]byte {
	f, err := netlink.GenlFamilyGet(family)
	if err != nil {
		return nil
	}
	req := nl.NewNetlinkRequest(int(f.ID), 0)
	req.AddData(genlHeader{command, 1})
	req.AddData(about)
	msgs, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil || len(msgs) == 0 || len(msgs[0]) < nl.SizeofGenlmsg {
		return nil
	}
	attrs, err := nl.ParseRouteAttr(msgs[0][nl.SizeofGenlmsg:])
	if err != nil {
		return nil
	}
	m := map[uint16][]byte{}
	for _, a := range attrs {
		m[a.Attr.Type&^unix.NLA_F_NESTED] = a.Value
	}
	return m
}

func number(b []byte) int {
	switch len(b) {
	case 4:
		return int(binary.NativeEndian.Uint32(b))
	case 8:
		return int(binary.NativeEndian.Uint64(b))
	}
	return 0
}

// queuesOf returns how many queues an interface really has for both directions, as
// ethtool -l says: it may have been made with more.
func queuesOf(a *netlink.LinkAttrs) int {
	const txCount = unix.ETHTOOL_A_CHANNELS_RX_COUNT + 1
	about := nl.NewRtAttr(unix.ETHTOOL_A_CHANNELS_HEADER|unix.NLA_F_NESTED, nil)
	about.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_INDEX, nl.Uint32Attr(uint32(a.Index)))
	ch := ask("ethtool", unix.ETHTOOL_MSG_CHANNELS_GET, about)
	common := number(ch[unix.ETHTOOL_A_CHANNELS_COMBINED_COUNT])
	if n := common + min(number(ch[unix.ETHTOOL_A_CHANNELS_RX_COUNT]), number(ch[txCount])); n > 0 {
		return n
	}
	return max(1, min(a.NumRxQueues, a.NumTxQueues))
}

// xdpFeatures is what the driver of an interface can do: enum netdev_xdp_act.
type xdpFeatures int

const (
	xdpNative    xdpFeatures = 1 << 0
	xdpRedirect  xdpFeatures = 1 << 1
	xdpZeroCopy  xdpFeatures = 1 << 3
	xdpManyParts xdpFeatures = 1 << 5

	xdpUnknown xdpFeatures = 1 << 30 // the kernel does not say; from 6.3 on it does
)

// featuresOf asks for the features of an interface: NETDEV_CMD_DEV_GET.
func featuresOf(index int) xdpFeatures {
	const (
		devGet   = 1
		ifindex  = 1
		features = 3
	)
	dev := ask("netdev", devGet, nl.NewRtAttr(ifindex, nl.Uint32Attr(uint32(index))))
	if f, ok := dev[features]; ok {
		return xdpFeatures(number(f))
	}
	return xdpUnknown
}

// has reports whether a feature is known to be there.
func (f xdpFeatures) has(x xdpFeatures) bool { return f&xdpUnknown == 0 && f&x == x }

// lacks reports whether a feature is known to be missing.
func (f xdpFeatures) lacks(x xdpFeatures) bool { return f&xdpUnknown == 0 && f&x != x }

// word says it to people.
func (f xdpFeatures) word(x xdpFeatures) string {
	switch {
	case f.has(x):
		return "yes"
	case f.lacks(x):
		return "no"
	}
	return "the kernel does not say"
}
