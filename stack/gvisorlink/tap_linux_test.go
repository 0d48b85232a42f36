package gvisorlink

import (
	"net"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
	_ "github.com/ringtail-net/ringtail/hal/tap"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
)

// TestTAP has the kernel's own clients and servers talk to a plain gVisor stack.
func TestTAP(t *testing.T) {
	testenv.Need(t, "tap", netlab.Available())
	for _, options := range []string{"", "&vnet=off", "&queues=2"} {
		t.Run("tap:"+options, func(t *testing.T) {
			ns := netlab.New(t).Namespace("tap")
			dev, err := hal.Open("tap:rt0?host=10.77.0.1/24&netns=" + ns.Path() + options)
			if err != nil {
				t.Fatal(err)
			}
			e := embed(t, dev, "10.77.0.2/24", Options{CloseDevice: true})

			if out := ns.Run("ping", "-c", "2", "-i", "0.01", "-s", "8000", "10.77.0.2"); !strings.Contains(out, " 0% packet loss") {
				t.Errorf("ping from the kernel:\n%s", out)
			}

			e.listen(t, 7)
			var c net.Conn
			var l net.Listener
			if err := ns.Do(func() (err error) {
				if l, err = net.Listen("tcp4", "10.77.0.1:7"); err == nil {
					c, err = net.Dial("tcp4", "10.77.0.2:7")
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			exchange(t, c, 4<<20)

			serve(t, l)
			kernel := tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFrom4([4]byte{10, 77, 0, 1}), Port: 7}
			conn, err := gonet.DialTCP(e.st, kernel, ipv4.ProtocolNumber)
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, conn, 4<<20)
		})
	}
}
