package afxdp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ringtail-net/ringtail/hal"
)

// A kind is what a filter goes by.
type kind uint8

const (
	byAddress kind = iota // what SetLocal says: filter=local, or ports
	byMAC
	everything
)

// filter is what Config.Filter says.
type filter struct {
	kind  kind
	mac   hal.MAC    // byMAC: our own
	ports []hal.Port // byAddress: if there are any, only these
}

func parseFilter(text string) (filter, error) {
	mac, isMAC := strings.CutPrefix(text, "mac:")
	switch {
	case text == "" || text == "local":
		return filter{}, nil
	case text == "all":
		return filter{kind: everything}, nil
	case isMAC:
		m, err := hal.ParseMAC(mac)
		if err != nil {
			return filter{}, fmt.Errorf("must be the MAC address of one station, as in mac:02:00:00:00:00:01")
		}
		return filter{kind: byMAC, mac: m}, nil
	}
	var f filter
	for _, word := range strings.Split(text, "+") {
		p, err := parsePort(word)
		if err != nil {
			return filter{}, err
		}
		if slices.Contains(f.ports, p) {
			return filter{}, fmt.Errorf("port %s stands twice", word)
		}
		f.ports = append(f.ports, p)
	}
	return f, nil
}

func parsePort(text string) (hal.Port, error) {
	proto, number, _ := strings.Cut(text, "/")
	p := hal.Port{Proto: map[string]uint8{"tcp": protoTCP, "udp": protoUDP}[proto]}
	n, err := strconv.ParseUint(number, 10, 16)
	if p.Proto == 0 || err != nil || n == 0 {
		return p, fmt.Errorf("must be local, all, mac:MAC, or ports as in tcp/80+udp/53")
	}
	p.Number = uint16(n)
	return p, nil
}
