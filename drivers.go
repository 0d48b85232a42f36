package ringtail

// The drivers that build everywhere. Where one cannot work its Probe says so.
import (
	_ "github.com/ringtail-net/ringtail/hal/afxdp"
	_ "github.com/ringtail-net/ringtail/hal/dpdk"
	_ "github.com/ringtail-net/ringtail/hal/loopback"
	_ "github.com/ringtail-net/ringtail/hal/packet"
	_ "github.com/ringtail-net/ringtail/hal/tap"
)
