package dhcp

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"time"
)

// An Option is the number of one (RFC 2132 and later).
type Option = uint8

// The options that a client deals with.
const (
	optPad         Option = 0
	OptMask        Option = 1
	OptRouters     Option = 3
	OptDNS         Option = 6
	OptHostName    Option = 12
	OptDomain      Option = 15
	OptMTU         Option = 26
	OptAddress     Option = 50 // that the client asks for
	OptLeaseTime   Option = 51
	optOverload    Option = 52
	optKind        Option = 53
	OptServer      Option = 54
	OptParameters  Option = 55 // that the client wants to know
	OptMessage     Option = 56 // why something was refused, for people
	OptRenewTime   Option = 58
	OptRebindTime  Option = 59
	OptID          Option = 61 // of the client
	OptClassRoutes Option = 121
	optEnd         Option = 255
)

// Options are values by number.
type Options map[Option][]byte

// parseAll reads the options of a whole message. Where there are many, they go on
// in the fields for names (option 52); what stands in several places or pieces is
// one value (RFC 3396).
func (o Options) parseAll(b []byte) error {
	if err := o.parse(b[atOptions:]); err != nil {
		return err
	}
	v, ok := o[optOverload]
	if !ok {
		return nil
	}
	delete(o, optOverload)
	if len(v) != 1 || v[0] < 1 || v[0] > 3 {
		return fmt.Errorf("%w: option overload is % x", ErrMalformed, v)
	}
	if v[0]&1 != 0 {
		if err := o.parse(b[atFile:atCookie]); err != nil {
			return err
		}
	}
	if v[0]&2 != 0 {
		if err := o.parse(b[atServer:atFile]); err != nil {
			return err
		}
	}
	delete(o, optOverload) // inside of itself it means nothing
	return nil
}

func (o Options) parse(b []byte) error {
	for len(b) > 0 {
		option := b[0]
		if option == optEnd {
			return nil
		}
		if option == optPad {
			b = b[1:]
			continue
		}
		end := 2
		if len(b) > 1 {
			end += int(b[1])
		}
		if len(b) < 2 || len(b) < end {
			return fmt.Errorf("%w: option %d is cut off", ErrMalformed, option)
		}
		o[option] = append(o[option], b[2:end]...)
		if o[option] == nil {
			o[option] = []byte{} // there, and empty
		}
		b = b[end:]
	}
	return nil
}

// appendOption appends an option, in pieces if its value is long.
func appendOption(b []byte, o Option, value []byte) []byte {
	for first := true; first || len(value) > 0; first = false {
		n := min(len(value), 255)
		b = append(b, o, byte(n))
		b = append(b, value[:n]...)
		value = value[n:]
	}
	return b
}

// address returns the value of an option that is one address of a station.
func (o Options) address(option Option) (netip.Addr, bool) {
	v := o[option]
	if len(v) != 4 {
		return netip.Addr{}, false
	}
	a := netip.AddrFrom4([4]byte(v))
	return a, isStation(a)
}

// addresses returns the value of an option that is a list of addresses, without
// those that no station can have.
func (o Options) addresses(option Option) (list []netip.Addr) {
	for v := o[option]; len(v) >= 4; v = v[4:] {
		if a := netip.AddrFrom4([4]byte(v)); isStation(a) {
			list = append(list, a)
		}
	}
	return list
}

// seconds returns the value of an option that is a time. All ones mean for ever.
func (o Options) seconds(option Option) (d time.Duration, ok bool) {
	v := o[option]
	if len(v) != 4 {
		return 0, false
	}
	n := binary.BigEndian.Uint32(v)
	if n == forever {
		return 0, true
	}
	return time.Duration(n) * time.Second, n > 0
}

const forever = 1<<32 - 1

// mask returns the length of the prefix that the option for the mask says, or,
// without that option, the one of the address's class.
func (o Options) mask(a netip.Addr) (length int, ok bool) {
	v, there := o[OptMask]
	if !there {
		switch first := a.As4()[0]; {
		case first < 128:
			return 8, true
		case first < 192:
			return 16, true
		}
		return 24, true
	}
	if len(v) != 4 {
		return 0, false
	}
	m := binary.BigEndian.Uint32(v)
	length = bits.LeadingZeros32(^m)
	return length, length > 0 && m<<length == 0
}

// mtu returns what the option for it says, or 0.
func (o Options) mtu() int {
	if v := o[OptMTU]; len(v) == 2 {
		return int(binary.BigEndian.Uint16(v))
	}
	return 0
}

// domain returns the domain name, or nothing if it is not one. It ends up in logs
// and in names that are looked up.
func (o Options) domain() string {
	name := strings.TrimRight(string(o[OptDomain]), "\x00")
	if name = strings.TrimSuffix(name, "."); !IsHostName(name) {
		return ""
	}
	return name
}

// routes returns the classless routes (RFC 3442), and no route if they are
// malformed. Without Via the destination is on the link.
func (o Options) routes() (list []Route) {
	for v := o[OptClassRoutes]; len(v) > 0; {
		length := int(v[0])
		n := (length + 7) / 8
		if length > 32 || len(v) < 1+n+4 {
			return nil
		}
		var to [4]byte
		copy(to[:], v[1:1+n])
		r := Route{To: netip.PrefixFrom(netip.AddrFrom4(to), length).Masked()}
		if via := netip.AddrFrom4([4]byte(v[1+n:])); isStation(via) {
			r.Via = via
		} else if !via.IsUnspecified() {
			return nil
		}
		list = append(list, r)
		v = v[1+n+4:]
	}
	return list
}

// isStation reports whether a can be the address of a single station of a
// network.
func isStation(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a.As4()[0] != 0 && a.As4()[0] < 240
}

// IsHostName reports whether name can be the name of a host (RFC 1123, section
// 2.1): labels of letters, digits and hyphens, with dots between.
func IsHostName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' {
				return false
			}
		}
	}
	return true
}
