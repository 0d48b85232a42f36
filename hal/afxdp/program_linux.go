package afxdp

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/ringtail-net/ringtail/hal"
)

// program is the filter in the kernel: loaded and attached, with a map of the
// sockets that it gives our frames to, and a packet socket for copies. All of it
// is gone with close, or with the process.
//
// It must stay reachable as long as the device is open: the ebpf library closes
// what the garbage collector finds, and that detaches the filter.
type program struct {
	sockets *ebpf.Map // of the queues
	link    link.Link
	side    *copies // nil: none are wanted (filter=all)
}

// attach loads the filter for an interface and attaches it. frags says that the
// filter bears packets in several buffers; where the kernel or the interface's
// driver cannot, it is attached without if all packets fit one.
func attach(i *iface, c Config, frags bool) (*program, error) { return &program{}, nil }

// register gives the frames of a queue to an AF_XDP socket.
func (p *program) register(queue, fd int) error { return nil }

// setLocal says what is ours. It takes effect before it returns.
func (p *program) setLocal(l hal.Local) error { return nil }

// native reports whether the filter runs in the interface's driver.
func (p *program) native() bool { return true }

// frags reports whether packets in several buffers come through.
func (p *program) frags() bool { return true }

// mac is our address: that of the interface, unless the filter goes by another.
// shared reports whether it is the kernel's too.
func (p *program) mac() (m hal.MAC, shared bool) { return hal.MAC{}, true }

// close detaches the filter, and closes the packet socket. The frames that follow
// are the kernel's. It is called once, when nobody is in p.side any more.
func (p *program) close() error { return nil }
