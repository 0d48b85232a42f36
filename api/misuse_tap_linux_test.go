package api_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	_ "github.com/ringtail-net/ringtail/hal/tap"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// TestMisuseTableOnTAP runs the table with the kernel as the neighbour. The
// cases share a namespace; each has a device and a network of its own.
func TestMisuseTableOnTAP(t *testing.T) {
	t.Parallel()
	testenv.Need(t, "tap", netlab.Available())
	ns := netlab.New(t).Namespace("misuse")
	testMisuse(t, func(t *testing.T, i int) *world {
		at := func(host byte) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(1 + i>>8), byte(i), host}) }
		w := &world{TB: t, addr: at(1), peer: at(2), silent: at(66), nobody: at(77), far: kernelSide{ns}}
		w.start(fmt.Sprintf("tap:rt%d?host=%v/24&netns=%s", i, w.peer, ns.Path()))
		return w
	})
}

// kernelSide makes sockets of the kernel in a namespace.
type kernelSide struct{ ns *netlab.Namespace }

func (k kernelSide) Listen(network, address string) (ln net.Listener, err error) {
	err = k.ns.Do(func() (err error) { ln, err = net.Listen(network, address); return err })
	return ln, err
}

func (k kernelSide) Dial(network, address string) (c net.Conn, err error) {
	err = k.ns.Do(func() (err error) { c, err = net.Dial(network, address); return err })
	return c, err
}
