package main

import (
	"fmt"
	"time"
)

// A progress tells people how far something is: on a terminal by one line that is
// redrawn, elsewhere by a line every second.
type progress struct {
	con   console
	shown time.Time
	dirty bool // a line is on the terminal
}

func newProgress(con console) *progress { return &progress{con: con} }

// show shows a state, unless the last one is too young.
func (p *progress) show(format string, args ...any) {
	gap := time.Second
	if p.con.terminal {
		gap = 50 * time.Millisecond
	}
	now := time.Now()
	if now.Sub(p.shown) < gap {
		return
	}
	p.shown = now
	text := fmt.Sprintf(format, args...)
	if p.con.terminal {
		fmt.Fprintf(p.con.err, "\r\x1b[K%s", text)
		p.dirty = true
		return
	}
	fmt.Fprintln(p.con.err, text)
}

// end clears the line.
func (p *progress) end() {
	if p.dirty {
		fmt.Fprint(p.con.err, "\r\x1b[K")
		p.dirty = false
	}
}
