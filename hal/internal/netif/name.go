package netif

import (
	"fmt"
	"strings"
)

// maxName is IFNAMSIZ without the final zero byte.
const maxName = 15

// CheckName applies the rules that the kernel has for the names of interfaces. The
// empty name passes.
func CheckName(name string) error {
	switch {
	case len(name) > maxName:
		return fmt.Errorf("interface name %q is too long: it has %d bytes, and %d are allowed", name, len(name), maxName)
	case name == "." || name == "..":
		return fmt.Errorf("%q is not an interface name", name)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' || r == ':' }); i >= 0 {
		return fmt.Errorf("interface name %q has a character that is not allowed: %q", name, name[i])
	}
	return nil
}
