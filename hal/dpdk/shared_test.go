//go:build dpdk && cgo && linux

package dpdk

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/haltest"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// A joint is a kind of memory that two processes share.
type joint struct {
	name      string
	dev, far  string // specs, with the number and the socket to be filled in
	devServes bool
	plain     bool // the far end cannot send super-frames
	slow      bool // to close
}

// spec fills in what a spec leaves open.
func (j joint) spec(format, path string) string {
	return fmt.Sprintf(format, number(), path) + "&huge=off"
}

var joints = []joint{
	{name: "memif-client", dev: "dpdk:net_memif%d?socket=%s", far: "dpdk:net_memif%d?role=server&socket=%s"},
	{name: "memif-server", dev: "dpdk:net_memif%d?role=server&socket=%s", far: "dpdk:net_memif%d?socket=%s", devServes: true},
	{name: "virtio_user", dev: "dpdk:net_virtio_user%d?path=%s", far: "dpdk:net_vhost%d?iface=%s", plain: true},
	{name: "vhost", dev: "dpdk:net_vhost%d?iface=%s", far: "dpdk:net_virtio_user%d?path=%s", devServes: true, slow: true},
}

// An end is a port of a child that outlives a test, where it is the one that listens.
type end struct {
	*child
	path string
}

// ends are those of one joint that nobody has.
type ends struct {
	joint
	free []*end
}

// link makes a link between a port here and one in another process.
func (es *ends) link(t *testing.T, folder string) haltest.Link {
	t.Helper()
	var e *end
	if n := len(es.free); n > 0 {
		e, es.free = es.free[n-1], es.free[:n-1]
	} else {
		e = &end{startChild(t), filepath.Join(folder, fmt.Sprint("s", number()))}
		if !es.devServes {
			e.open(t, es.spec(es.far, e.path))
		}
	}
	dev, err := hal.Open(es.spec(es.dev, e.path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dev.Close()
		if es.devServes {
			e.leave(t)
			return
		}
		e.forget()
		es.free = append(es.free, e)
	})
	if es.devServes {
		e.open(t, es.spec(es.far, e.path))
	}
	joined(t, dev, e.child)
	if es.plain {
		return haltest.Link{Dev: dev, Far: struct{ haltest.Far }{e}}
	}
	return haltest.Link{Dev: dev, Far: e}
}

// close ends the ports that are left.
func (es *ends) close(t *testing.T) {
	for _, e := range es.free {
		e.leave(t)
	}
}

// Memory that two processes share: each end of memif, and of vhost and virtio_user.
func TestSharedMemory(t *testing.T) {
	need(t)
	for _, j := range joints {
		t.Run(j.name, func(t *testing.T) {
			if j.slow && !testenv.Long() {
				t.Skip("DPDK takes a second to close the port; see TestUnfinishedOverVhost")
			}
			es := &ends{joint: j}
			folder := t.TempDir()
			haltest.Run(t, func(t *testing.T) haltest.Link { return es.link(t, folder) })
			es.close(t)
		})
	}
}
