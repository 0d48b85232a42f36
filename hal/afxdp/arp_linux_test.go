package afxdp

import (
	"net/netip"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

// A station that has an address already answers whoever asks before taking it, as a
// DHCP client does. Who asks has no address yet, so that the answer goes to none
// (RFC 5227): it must not be lost between the kernel and us.
func TestAnswerToProbe(t *testing.T) {
	c := variant{}.cable(t)
	dev := c.open(t, "")
	if err := hal.SetLocal(dev, hal.Local{Addrs: []netip.Addr{far4}}); err != nil { // the far kernel's
		t.Fatal(err)
	}
	in, mac := receive(t, dev), dev.Info().MAC
	p := ether(hal.Broadcast, typeARP, arp(1, far4.String())...)
	copy(p[6:], mac[:])
	copy(p[hal.EthernetHeaderLen+8:], append(mac[:], 0, 0, 0, 0)) // the sender, without an address
	_, tx := halves(t, dev)
	if !send(t, tx, p) {
		t.Fatal("not sent")
	}
	in.await(t, "the answer of the kernel at the far end", func(f []byte) bool {
		sender := hal.EthernetHeaderLen + 14
		return len(f) >= sender+4 && string(f[12:14]) == "\x08\x06" && f[hal.EthernetHeaderLen+7] == arpReply &&
			[4]byte(f[sender:]) == far4.As4()
	})
}
