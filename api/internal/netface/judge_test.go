package netface

import (
	"net"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// TestConn is the test that all who implement net.Conn should pass.
func TestConn(t *testing.T) {
	t.Parallel()
	w, hosts := onWire(t, "10.0.0.1/24", "10.0.0.2/24")
	for _, o := range orders {
		t.Run(o.name, func(t *testing.T) { o.judge(t, w) })
	}
	nothingLeft(t, hosts[:])
}

// TestConnWithLosses is TestConn where one frame in fifty is lost. It spends its
// time waiting for retransmissions: the short form is one order.
func TestConnWithLosses(t *testing.T) {
	some := orders[:1]
	if testenv.Long() {
		some = orders
	}
	for _, o := range some {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			wire := must(loopback.New(loopback.Config{}))
			device := func(seed uint64) *wrap.Injector {
				return wrap.Inject(must(wire.Device(loopback.Config{})), wrap.InjectOptions{
					Faults: wrap.Faults{Drop: 0.02, Delay: 100 * time.Microsecond, Dir: wrap.Tx}, Seed: seed,
				})
			}
			near, far := device(1), device(2)
			w, hosts := onDevices(t, "10.0.0.1/24", "10.0.0.2/24", near, far)
			o.judge(t, w)
			nothingLeft(t, hosts[:])
			if near.Stats().Drops["tx-fault-drop"] == 0 || far.Stats().Drops["tx-fault-drop"] == 0 {
				t.Error("nothing was lost")
			}
		})
	}
}

// orders are who listens, and which end is the first of the pair.
var orders = []order{
	{"dialled by the first", false, false}, {"accepted by the first", true, false},
	{"dialled by the second", true, true}, {"accepted by the second", false, true},
}

type order struct {
	name      string
	listening bool // the near end
	farFirst  bool
}

func (o order) judge(t *testing.T, w world) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		near, far, err := pipe(w, o.listening)
		if err != nil {
			return nil, nil, nil, err
		}
		stop = func() { near.Close(); far.Close() }
		if o.farFirst {
			near, far = far, near
		}
		return near, far, stop, nil
	})
}

// pipe makes a connection, for which the near end listens or dials.
func pipe(w world, listening bool) (near, far net.Conn, err error) {
	server, client, addr := w.far, w.near, w.farAddr
	if listening {
		server, client, addr = w.near, w.far, w.nearAddr
	}
	ln, err := server.listen("tcp", at(addr, 0), 0)
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	dialled, err := client.dial(ctx, dialing{}, "tcp", ln.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	accepted, err := ln.Accept()
	if err != nil {
		return nil, nil, err
	}
	if listening {
		return accepted, dialled, nil
	}
	return dialled, accepted, nil
}
