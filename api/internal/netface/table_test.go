package netface

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringtail-net/ringtail/hal/loopback"
	"github.com/ringtail-net/ringtail/hal/wrap"
	"github.com/ringtail-net/ringtail/stack"
)

// A row is a line of the table: something that is done with package net's calls,
// and what they return.
type row struct {
	name string
	body func(*run)
	want string // a line for each note: what package net says on the kernel's sockets
	// ours are the lines of want that differ on ours, and why they do. A line
	// without a result is one that ours has not.
	ours string
	why  string
	// lab says that it takes addresses where nobody answers, or time: the
	// kernel needs a namespace for it, and ours a clock that need not be
	// waited for.
	lab bool
	// router says that it takes a router at the far end, which only the
	// kernel can be.
	router bool
}

// anywhere says that a row takes no more than two ends.
func (r row) anywhere() bool { return !r.lab && !r.router }

var table = func() (all []row) {
	for _, part := range [][]row{
		dialRows, listenRows, acceptRows, readRows, writeRows, deadlineRows, closeRows, copyRows, datagramRows, farRows, routerRows,
	} {
		all = append(all, part...)
	}
	return all
}()

// TestTableOnTheKernel measures what package net does.
func TestTableOnTheKernel(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			w := kernelHere(t, addr)
			rows(t, row.anywhere, func(t *testing.T, r row) {
				t.Parallel()
				r.check(t, w)
			})
		})
	}
}

// TestTable runs it on ours, over a wire in memory. The rows share two hosts,
// which nothing is left of in the end.
func TestTable(t *testing.T) {
	for name, addrs := range map[string][2]string{
		"IPv4": {"10.0.0.1/24", "10.0.0.2/24"},
		"IPv6": {"fd00::1/64", "fd00::2/64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, hosts := onWire(t, addrs[0], addrs[1])
			t.Run("rows", func(t *testing.T) {
				rows(t, row.anywhere, func(t *testing.T, r row) {
					t.Parallel()
					r.check(t, w)
				})
			})
			nothingLeft(t, hosts[:])
		})
	}
}

// TestTableInABubble runs the rows where time passes, each with hosts of its own.
func TestTableInABubble(t *testing.T) {
	rows(t, func(r row) bool { return r.lab }, func(t *testing.T, r row) {
		synctest.Test(t, func(t *testing.T) {
			wire := must(loopback.New(loopback.Config{}))
			device := func() *wrap.Injector {
				return wrap.Inject(must(wire.Device(loopback.Config{})), wrap.InjectOptions{
					Faults: wrap.Faults{Delay: 100 * time.Microsecond, Dir: wrap.Tx},
				})
			}
			far := device()
			w, _ := onDevices(t, "10.0.0.1/24", "10.0.0.2/24", device(), far)
			w.vanish = func() {
				far.Add(func(p []byte, _ wrap.Dir, _ time.Time, _ *rand.Rand) wrap.Verdict {
					const arp = 6     // the low byte of 0x0806
					if p[13] == arp { // its station still is
						return wrap.Pass
					}
					return wrap.Drop
				})
			}
			r.check(t, w)
		})
	})
}

// nothingLeft waits until hosts hold nothing any more: what was closed may
// still be on its way.
func nothingLeft(t *testing.T, hosts []*stack.Host) {
	t.Helper()
	patience := time.Now().Add(20 * time.Second)
	for _, h := range hosts {
		s := h.Stats()
		for (s.Sockets != 0 || s.Waiting != 0 || s.Posted != 0 || s.PeerConns != 0) && time.Now().Before(patience) {
			time.Sleep(time.Millisecond)
			s = h.Stats()
		}
		if s.Sockets != 0 || s.Waiting != 0 || s.Posted != 0 || s.PeerConns != 0 {
			t.Errorf("left in %s: %d sockets, %d ops and %d posted, %d connections of peers", s.Host, s.Sockets, s.Waiting, s.Posted, s.PeerConns)
		}
	}
}

func rows(t *testing.T, wanted func(row) bool, test func(*testing.T, row)) {
	for _, r := range table {
		if wanted(r) {
			t.Run(r.name, func(t *testing.T) { test(t, r) })
		}
	}
}

// check runs the row in a world and compares what it notes.
func (w *row) check(t *testing.T, in world) {
	r := &run{TB: t, world: in, names: map[string]string{}, hurry: !w.lab}
	w.body(r)
	want := w.expected(in.ours)
	for i, n := range r.notes {
		if i >= len(want) || want[i] != n {
			t.Errorf("line %d:\n got %s: %s\nwant %s", i+1, n.call, n.result, line(want, i))
		}
	}
	if len(r.notes) < len(want) {
		t.Errorf("%d lines, want %d, the next one: %s", len(r.notes), len(want), line(want, len(r.notes)))
	}
}

func line(notes []note, i int) string {
	if i < len(notes) {
		return notes[i].call + ": " + notes[i].result
	}
	return "nothing more"
}

// expected are the notes that a world should make.
func (w *row) expected(ours bool) []note {
	notes := parse(w.want)
	if !ours {
		return notes
	}
	other := map[string]string{}
	for _, n := range parse(w.ours) {
		other[n.call] = n.result
	}
	for i, n := range notes {
		if result, ok := other[n.call]; ok {
			notes[i].result = result
		}
	}
	return notes
}

func parse(text string) (notes []note) {
	for l := range strings.Lines(strings.TrimSpace(text)) {
		call, result, _ := strings.Cut(strings.TrimSpace(l), ": ")
		notes = append(notes, note{call, result})
	}
	return notes
}

// portOne is where nobody listens.
func portOne(a netip.Addr) string { return at(a, 1) }
