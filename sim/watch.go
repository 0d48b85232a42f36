package sim

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// watch looks, from outside of the bubble and by the machine's clock, whether the
// driver waits for a goroutine that waits for something outside: a real socket, a
// pipe, a terminal. Such a goroutine counts as running, so that virtual time stands
// still for as long as it waits, which may be for ever. It ends the process, as the
// time limit of go test would later and without a word about why.
func watch(w *World) (stop func()) {
	end := make(chan struct{})
	go func() {
		ticks := time.NewTicker(patience)
		defer ticks.Stop()
		for last := uint64(0); ; {
			select {
			case <-end:
				return
			case <-ticks.C:
			}
			beats := w.beats.Load()
			if beats == last {
				if culprit := blockedOutside(); culprit != "" {
					fmt.Fprintf(os.Stderr, outsideText, culprit)
					panic("sim: a goroutine of a simulation waits for something outside of it")
				}
			}
			last = beats
		}
	}()
	return func() { close(end) }
}

// patience is how long the driver has to have waited before anybody asks why.
var patience = 5 * time.Second

const outsideText = `sim: virtual time stands still: this goroutine is in the simulation, and waits for
something outside of it. Dial and listen by World.Host(…).Net(), and leave real files and
sockets alone.

%s
`

// outside matches the head of such a goroutine in a dump.
var outside = regexp.MustCompile(`^goroutine \d+ .*\[IO wait.*, synctest bubble \d+`)

// stacks returns the stacks of all goroutines, the caller's first.
func stacks() []string {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			return strings.Split(strings.TrimSpace(string(buf[:n])), "\n\n")
		}
		buf = make([]byte, 4*len(buf))
	}
}

// bubble is how the head of a stack names its bubble.
var bubble = regexp.MustCompile(`^goroutine \d+ \[.*(synctest bubble \d+)`)

// ours matches the stacks of a bubble that are not the program's.
var ours = regexp.MustCompile(`\n(testing/synctest\.testingSynctestTest|internal/synctest\.Run|[\w./-]*/sim\.\(\*World\)\.drive)\(`)

// remaining returns the stacks of the goroutines of the caller's bubble, but for its
// own, the driver's, and those of package synctest.
func remaining() string {
	all := stacks()
	var left []string
	for _, g := range all[1:] {
		if mine, its := bubble.FindStringSubmatch(all[0]), bubble.FindStringSubmatch(g); mine == nil || its == nil || mine[1] != its[1] {
			continue
		}
		if !ours.MatchString(g) {
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}

// blockedOutside returns the stack of a goroutine that waits for I/O in a bubble.
func blockedOutside() string {
	for _, g := range stacks() {
		if outside.MatchString(g) {
			return g
		}
	}
	return ""
}
