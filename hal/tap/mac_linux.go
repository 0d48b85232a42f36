package tap

import (
	"crypto/sha256"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// stableMAC makes an address for our end of an interface that is the same each
// time: others keep it in their neighbour tables. It depends on the machine and
// on the namespace of the calling thread, because names are taken twice there.
// It is locally administered (IEEE Std 802, section 8.4.4).
func stableMAC(ifname string) hal.MAC {
	host, _ := os.Hostname() // without it, the rest is a good guess
	var st unix.Stat_t
	_ = unix.Stat("/proc/thread-self/ns/net", &st)
	sum := sha256.Sum256(fmt.Appendf(nil, "ringtail tap %s %d %s", ifname, st.Ino, host))
	m := hal.MAC(sum[:6])
	m[0] = m[0]&^1 | 2
	return m
}
