package api

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// ParseHosts reads a hosts file, as in hosts(5), for [Names]: lines of an address
// and its names; what follows a # is a comment. A name may stand in several lines
// and has the addresses of all. An error of the file says the line.
func ParseHosts(r io.Reader) (map[string][]netip.Addr, error) {
	hosts := map[string][]netip.Addr{}
	in := bufio.NewScanner(r)
	line := 1
	for ; in.Scan(); line++ {
		text, _, _ := strings.Cut(in.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		switch {
		case err != nil:
			return nil, fmt.Errorf("hosts, line %d: %q is no address", line, fields[0])
		case len(fields) == 1:
			return nil, fmt.Errorf("hosts, line %d: %v has no name: write it behind the address", line, addr)
		}
		for _, name := range fields[1:] {
			if name = canonicalName(name); name == "" {
				return nil, fmt.Errorf("hosts, line %d: a name is empty", line)
			}
			hosts[name] = appendAddrs(hosts[name], addr)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("hosts, line %d: %w", line, err)
	}
	return hosts, nil
}
