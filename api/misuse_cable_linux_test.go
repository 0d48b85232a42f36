package api_test

import (
	"fmt"
	"net/netip"
	"testing"

	_ "github.com/ringtail-net/ringtail/hal/afxdp"
	_ "github.com/ringtail-net/ringtail/hal/packet"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// TestMisuseTableOnACable runs the table over drivers that take an interface
// which the kernel goes on using, with another kernel as the neighbour. The cases
// share two namespaces; each has a cable and a network of its own.
func TestMisuseTableOnACable(t *testing.T) {
	t.Parallel()
	for driver, keys := range map[string]string{"packet": "", "afxdp": "&frames=1024"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			testenv.Need(t, driver, netlab.Available())
			lab := netlab.New(t)
			near, far := lab.Namespace("near"), lab.Namespace("far")
			testMisuse(t, func(t *testing.T, i int) *world {
				at := func(host byte) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(1 + i>>8), byte(i), host}) }
				w := &world{TB: t, addr: at(1), peer: at(2), silent: at(66), nobody: at(77), far: kernelSide{far}}
				name := fmt.Sprintf("rt%d", i)
				lab.Veth(netlab.Port{NS: near, Name: name}, netlab.Port{NS: far, Name: name, Addrs: []string{w.peer.String() + "/24"}})
				w.start(fmt.Sprintf("%s:%s?netns=%s%s", driver, name, near.Path(), keys))
				return w
			})
		})
	}
}
