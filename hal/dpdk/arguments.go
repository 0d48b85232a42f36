package dpdk

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringtail-net/ringtail/hal"
)

// environment is what EAL is started with, once in a process.
type environment struct {
	huge   bool
	lcores string
	pci    bool // network cards can be opened
	extra  []string
}

// plainMemory is how much address space EAL gets without hugepages, in megabytes.
// Only what is used is taken.
const plainMemory = 512

// arguments are those of EAL. Hugepages are anonymous, and nothing is shared with
// other processes of DPDK, so that nothing stays in the file system; a prefix is
// for the folder that EAL makes all the same, and that is removed.
func (e environment) arguments(prefix string) []string {
	args := []string{"ringtail", "--no-telemetry", "--file-prefix", prefix, "--lcores", e.lcores}
	if e.huge {
		args = append(args, "--in-memory", "--single-file-segments")
	} else {
		args = append(args, "--no-huge", "--no-shconf")
		if !slices.Contains(e.extra, "-m") {
			args = append(args, "-m", fmt.Sprint(plainMemory))
		}
	}
	if !e.pci {
		args = append(args, "--no-pci")
	}
	return append(args, e.extra...)
}

// floating is the --lcores of one that runs on any of these processors: then no
// thread is bound to one of them.
func floating(cpus []int) string {
	if len(cpus) == 0 {
		cpus = []int{0}
	}
	return "0@(" + strings.Trim(strings.ReplaceAll(fmt.Sprint(cpus), " ", ","), "[]") + ")"
}

// admits says whether a port can be opened in an environment that was started for
// another one: what it does not ask for may be anything.
func (e environment) admits(p plan) error {
	var was, want string
	switch {
	case p.Huge == "on" && !e.huge, p.Huge == "off" && e.huge:
		was, want = "huge="+onOff(e.huge), "huge="+p.Huge
	case p.Lcores != "" && p.Lcores != e.lcores:
		was, want = "lcores="+e.lcores, "lcores="+p.Lcores
	case p.EAL != nil && !slices.Equal(p.EAL, e.extra):
		was, want = fmt.Sprintf("eal=%q", strings.Join(e.extra, " ")), fmt.Sprintf("eal=%q", strings.Join(p.EAL, " "))
	case p.card && !e.pci:
		was, want = "--no-pci", "a PCI device, which has to be the first"
	default:
		return nil
	}
	return fmt.Errorf("%w: DPDK's environment exists once in a process and was started with %s, and %s asks for %s: leave that out, or use another process",
		hal.ErrSpec, was, p.Name, want)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
