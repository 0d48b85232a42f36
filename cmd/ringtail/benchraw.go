package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/rawbench"
)

// benchRaw is one run of bench raw.
type benchRaw struct {
	con       console
	spec      string
	peer      string // interface at the other end
	peerNetNS string
	sizes     []int
	rounds    int
	time      time.Duration
	asJSON    bool

	driver string
	lab    *rawbench.Lab // nil: the user's own cable
}

func newBenchRaw(con console) *cobra.Command {
	b := benchRaw{con: con}
	c := &cobra.Command{
		Use:   "raw --hal SPEC",
		Short: "Frames a second and processor time per frame, of a device alone",
		Long: `Raw sends and receives frames on a device, with no stack above, and does the same
with the loop that anybody would write: sendmmsg and recvmmsg on a packet socket.
Both take turns, each loop in a process of its own; the table has the median of
the rounds, and the ratio of the two.

A spec of packet: or afxdp: without a target gets a virtual cable between two
network namespaces made for the purpose, which needs root. With a target it takes
over that interface, and --peer names the interface at the other end of the cable,
from which frames are sent and where they are counted. Devices without a cable
(tap:, loopback:) are compared with the loop on a cable of its own.

Frames go to 198.18.0.2, of the network that RFC 2544 sets aside for this.`,
		Example: `  ringtail bench raw --hal loopback:
  ringtail bench raw --hal packet:
  ringtail bench raw --hal 'afxdp:?mode=native' --rounds 5 --json
  ringtail bench raw --hal afxdp:eth1 --peer eth0 --peer-netns other`,
		Args: nArgs(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := b.validate(); err != nil {
				return err
			}
			return b.run(c.Context())
		},
	}
	c.Flags().StringVar(&b.spec, "hal", "", "device to measure, as a `spec`")
	c.Flags().StringVar(&b.peer, "peer", "", "`interface` at the other end of the device's cable")
	c.Flags().StringVar(&b.peerNetNS, "peer-netns", "", "network namespace of --peer, a `name` of ip-netns")
	c.Flags().IntSliceVar(&b.sizes, "size", rawbench.Sizes, "frame `lengths` in bytes")
	c.Flags().IntVar(&b.rounds, "rounds", 3, "`number` of rounds")
	c.Flags().DurationVar(&b.time, "time", time.Second, "`time` of a loop")
	jsonFlag(c, &b.asJSON)
	return c
}

func (b *benchRaw) validate() error {
	if b.spec == "" {
		return usageError("--hal is missing: which device? (see ringtail drivers)")
	}
	s, err := hal.ParseSpec(b.spec)
	if err != nil {
		return asUsage(err)
	}
	b.driver = s.Driver
	switch {
	case b.rounds < 1 || b.rounds > 1000:
		return usageError("--rounds %d: must be from 1 to 1000", b.rounds)
	case b.time < 10*time.Millisecond || b.time > time.Hour:
		return usageError("--time %v: must be from 10ms to 1h", b.time)
	case b.peerNetNS != "" && b.peer == "":
		return usageError("--peer-netns without --peer: which interface there?")
	case b.peer == "" && s.Target != "" && b.hasCable():
		return usageError("--peer is missing: the interface at the other end of %s; or leave out %s, and a cable is made", s.Target, s.Target)
	}
	for _, n := range b.sizes {
		if n < 64 || n > 65535 {
			return usageError("--size %d: must be from 64 to 65535", n)
		}
	}
	return nil
}

// hasCable reports whether the device takes over an interface that has another
// end, where a packet socket can do the same work.
func (b *benchRaw) hasCable() bool { return b.driver != "loopback" && b.driver != "tap" }

// run makes the lab, where there is need of one, and measures.
func (b *benchRaw) run(ctx context.Context) error {
	if b.peer == "" {
		lab, err := rawbench.NewLab(ctx)
		if err != nil {
			return err
		}
		b.lab = lab
		defer func() {
			if err := lab.Close(); err != nil {
				fmt.Fprintf(b.con.err, "ringtail: the lab is left behind: %v\n", oneLine(err))
			}
		}()
	}
	rows, err := b.measure(ctx)
	if err != nil {
		return err
	}
	if b.asJSON {
		return writeJSON(b.con.out, rows)
	}
	return writeBench(b.con.out, rows)
}

// deviceSpec is the spec that a loop opens.
func (b *benchRaw) deviceSpec() string {
	if b.lab == nil && b.hasCable() {
		return b.spec
	}
	driver, rest, _ := strings.Cut(b.spec, ":")
	target, query, found := strings.Cut(rest, "?")
	switch {
	case target != "":
	case b.driver == "tap":
		target = "rt0"
	case b.driver == "loopback":
		target = "bench"
	default:
		target = rawbench.Cable
	}
	if found {
		query = "?" + query
	}
	return driver + ":" + target + query
}
