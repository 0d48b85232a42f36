package hal_test

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// layer is a wrapper around a device that changes nothing; the next two add an
// ability to it.
type layer struct{ hal.Device }

func (l layer) Unwrap() hal.Device { return l.Device }

type countingLayer struct {
	layer
	stats hal.Stats
}

func (l countingLayer) Stats() hal.Stats { return l.stats }

type steeringLayer struct {
	layer
	got *hal.Local
}

func (l steeringLayer) SetLocal(local hal.Local) error {
	*l.got = local
	return nil
}

// delay is a wrapper of a half that holds packets back.
type delay struct {
	hal.RxQueue
	at time.Time
	ok bool
}

func (d delay) Unwrap() hal.RxQueue        { return d.RxQueue }
func (d delay) Pending() (time.Time, bool) { return d.at, d.ok }

func TestAsFindsThroughWrappers(t *testing.T) {
	a, b := newCable("")
	defer a.Close()
	defer b.Close()
	outer := layer{layer{a}}
	if e, ok := hal.As[*end](outer); !ok || e != a {
		t.Error("As does not find the device")
	}
	if _, ok := hal.As[hal.Steerer](outer); ok {
		t.Error("As finds an ability that nobody has")
	}
	rx, tx := delay{RxQueue: delay{RxQueue: &a.rx}}, txLayer{&a.tx}
	if n, ok := hal.As[hal.Notifier](rx); !ok || n != hal.Notifier(&a.rx) {
		t.Error("As does not find the receive half")
	}
	if n, ok := hal.As[hal.Notifier](tx); !ok || n != hal.Notifier(&a.tx) {
		t.Error("As does not find the transmit half")
	}
	if _, ok := hal.As[hal.Notifier](nil); ok {
		t.Error("As finds something in nil")
	}
}

type txLayer struct{ hal.TxQueue }

func (l txLayer) Unwrap() hal.TxQueue { return l.TxQueue }

func TestStatsOf(t *testing.T) {
	inner := countingLayer{stats: hal.Stats{RxPackets: 9, RxBlank: 4, Drops: map[string]uint64{"rx-no-buffer": 2, "tx-too-long": 1}}}
	mine := map[string]uint64{"tx-loss": 5, "tx-too-long": 10}
	d := layer{countingLayer{layer{inner}, hal.Stats{RxPackets: 7, TxBytes: 3, Drops: mine}}}
	got := hal.StatsOf(d)
	if got.RxPackets != 7 || got.TxBytes != 3 {
		t.Errorf("traffic %+v, want that of the outermost layer that counts", got)
	}
	if got.RxBlank != 4 {
		t.Errorf("%d blank checksums, want 4: the layer counts them that finds them", got.RxBlank)
	}
	want := map[string]uint64{"tx-loss": 5, "tx-too-long": 11, "rx-no-buffer": 2}
	if !maps.Equal(got.Drops, want) {
		t.Errorf("drops %v, want those of all layers: %v", got.Drops, want)
	}
	if mine["tx-too-long"] != 10 {
		t.Error("StatsOf changes a layer's own map")
	}
	if got := hal.StatsOf(layer{}); got.RxPackets != 0 || len(got.Drops) != 0 {
		t.Errorf("nobody counts, got %+v", got)
	}
}

func TestPendingOf(t *testing.T) {
	early, late := time.Unix(100, 0), time.Unix(200, 0)
	for _, c := range []struct {
		outer, inner delay
		at           time.Time
		ok           bool
	}{
		{delay{}, delay{}, time.Time{}, false},
		{delay{at: late, ok: true}, delay{at: early, ok: true}, early, true},
		{delay{at: early, ok: true}, delay{at: late, ok: true}, early, true},
		{delay{at: early}, delay{at: late, ok: true}, late, true},
		{delay{at: early, ok: true}, delay{ok: true}, time.Time{}, true},
	} {
		c.outer.RxQueue = c.inner
		if at, ok := hal.PendingOf(c.outer); ok != c.ok || !at.Equal(c.at) {
			t.Errorf("PendingOf(%+v) = %v, %v, want %v, %v", c.outer, at, ok, c.at, c.ok)
		}
	}
}

func TestSetLocal(t *testing.T) {
	want := hal.Local{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, DHCP: true}
	if err := hal.SetLocal(layer{}, want); err != nil {
		t.Errorf("a device that is not shared: %v", err)
	}
	var got hal.Local
	if err := hal.SetLocal(layer{steeringLayer{got: &got}}, want); err != nil || !got.DHCP || got.Addrs[0] != want.Addrs[0] {
		t.Errorf("the device was told %+v, %v, want %+v", got, err, want)
	}
}
