package proxy

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// A Route leads from a port of one network to an address of the other.
type Route struct {
	Network string // "tcp" or "udp"
	Listen  string // "host:port"; an empty host is every address
	Target  string // "host:port"; a name is resolved by the target's network, each time
}

// ParseForward reads a route whose listener is the kernel's, in the form
//
//	[tcp/|udp/]LISTEN=TARGET
//
// where TARGET is host:port, and LISTEN host:port or a port alone, of 127.0.0.1.
// Port 0 listens at a free one.
func ParseForward(text string) (Route, error) { return parseRoute(text, "127.0.0.1") }

// ParsePublish reads a route whose listener is the host's: as [ParseForward], but
// a port alone is one of every address.
func ParsePublish(text string) (Route, error) { return parseRoute(text, "") }

// ParseListen reads the address of a listener on the kernel's side: host:port, or
// a port of 127.0.0.1.
func ParseListen(text string) (string, error) { return parseListen(text, "127.0.0.1") }

func parseRoute(text, host string) (r Route, err error) {
	r.Network = "tcp"
	rest := text
	if network, after, ok := strings.Cut(text, "/"); ok {
		if network != "tcp" && network != "udp" {
			return Route{}, fmt.Errorf("route %q: %q is neither tcp nor udp", text, network)
		}
		r.Network, rest = network, after
	}
	from, to, ok := strings.Cut(rest, "=")
	if !ok {
		return Route{}, fmt.Errorf("route %q: want LISTEN=TARGET, as in 8080=10.77.0.1:80 or udp/5353=10.77.0.1:53", text)
	}
	if r.Listen, err = parseListen(from, host); err != nil {
		return Route{}, fmt.Errorf("route %q: %w", text, err)
	}
	if r.Target, err = parseTarget(to); err != nil {
		return Route{}, fmt.Errorf("route %q: %w", text, err)
	}
	return r, nil
}

func parseListen(text, host string) (string, error) {
	port := text
	if strings.Contains(text, ":") {
		h, p, err := net.SplitHostPort(text)
		if err != nil {
			return "", fmt.Errorf("%q: want a port or host:port, as in 8080, 127.0.0.1:8080 or [::1]:8080", text)
		}
		port = p
		if h != "" {
			host = h
		}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("%q: the port must be a number from 0 to 65535", text)
	}
	return net.JoinHostPort(host, port), nil
}

func parseTarget(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return "", fmt.Errorf("%q: want host:port, as in 10.77.0.1:80 or [fd00::1]:80", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q: the port must be a number from 1 to 65535", text)
	}
	return net.JoinHostPort(host, port), nil
}

func (r Route) String() string { return r.Network + "/" + r.Listen + "=" + r.Target }
