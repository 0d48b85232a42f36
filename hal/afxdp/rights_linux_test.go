package afxdp

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

// TestRights: what is missing is named, and with the least that is needed a device
// opens. Each case runs in a process of its own, which has lost capabilities.
func TestRights(t *testing.T) {
	if os.Getenv("AFXDP_RIGHTS") != "" {
		tryRights()
		return
	}
	c := sharedCable(t)
	for _, test := range []struct{ bounding, want string }{
		{"-all", "there is no CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF: run as root, or setcap cap_net_raw,cap_net_admin,cap_bpf"},
		{"-all,+net_admin,+bpf", "there is no CAP_NET_RAW:"},
		{"-all,+net_raw,+bpf", "there is no CAP_NET_ADMIN:"},
		{"-all,+net_raw,+net_admin", "there is no CAP_BPF:"},
		{"-all,+net_raw,+net_admin,+bpf", "opened"},
		{"-all,+net_raw,+net_admin,+sys_admin", "opened"},
	} {
		t.Run(test.bounding, func(t *testing.T) {
			cmd := c.near.Command("setpriv", "--bounding-set="+test.bounding, "--inh-caps=-all", os.Args[0], "-test.run=^TestRights$", "-test.v")
			cmd.Env = append(os.Environ(), "AFXDP_RIGHTS=1")
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Count(string(out), test.want) != 2 {
				t.Errorf("%v, want %q from Probe and from Open:\n%s", err, test.want, out)
			}
		})
	}
}

// tryRights says what Probe and Open say.
func tryRights() {
	say := func(err error) {
		if err == nil {
			fmt.Println("opened")
			return
		}
		fmt.Println(err)
	}
	say(probe())
	dev, err := hal.Open("afxdp:veth0?frames=256")
	if err == nil {
		defer dev.Close()
	}
	say(err)
}
