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

// blockedOutside returns the stack of a goroutine that waits for I/O in a bubble.
func blockedOutside() string {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		if outside.MatchString(g) {
			return g
		}
	}
	return ""
}
