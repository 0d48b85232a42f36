package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"runtime"

	"github.com/ringtail-net/ringtail/hal/wrap/pcapng"
	"github.com/ringtail-net/ringtail/stack"
)

// keepTrace is how many bytes of a capture are kept, in memory; it ends with a whole
// block. The identity is of all of it.
const keepTrace = 256 << 20

// A trace is the capture of the whole network: what hosts have sent, what has
// reached them, and what has not, with the reason as a comment; and the words of
// Logf. Every port is an interface, and the words are on one of their own.
type trace struct {
	w      *World
	sum    hash.Hash
	kept   [][]byte // as they came
	size   int      // of kept
	file   *pcapng.Writer
	events int // the interface of the words
	over   bool
}

func (t *trace) init(w *World) {
	t.w, t.sum = w, sha256.New()
	t.file = pcapng.NewWriter(t, "ringtail sim")
	t.events = t.file.AddInterface(pcapng.Interface{Name: "events", Description: "words of the program"})
}

// Write keeps and sums what the capture writes.
func (t *trace) Write(p []byte) (int, error) {
	t.sum.Write(p)
	if t.size+len(p) <= keepTrace {
		t.kept = append(t.kept, bytes.Clone(p))
		t.size += len(p)
	}
	return len(p), nil
}

// add declares the interface of a port.
func (t *trace) add(p *port) {
	p.shown = t.file.AddInterface(pcapng.Interface{Name: p.String(), Description: fmt.Sprint(p.addrs)})
}

func (t *trace) write(shown int, dir pcapng.Direction, data []byte, notes ...string) {
	if t.over {
		return
	}
	p := pcapng.Packet{Interface: shown, Time: t.w.at(t.w.now), Data: data, Dir: dir}
	for _, n := range notes {
		if n != "" {
			p.Comments = append(p.Comments, n)
		}
	}
	must(t.file.Write(p))
}

// sent notes a frame of a host, and what becomes of it on its way to the switch.
func (t *trace) sent(p *port, f frame, note string) { t.write(p.shown, pcapng.Out, f.data, note) }

// received notes a frame that has reached a host.
func (t *trace) received(p *port, f frame) { t.write(p.shown, pcapng.In, f.data, f.note) }

// passed notes what has happened to a frame on its way from the switch to a host.
func (t *trace) passed(p *port, f frame, note string) {
	t.write(p.shown, pcapng.Unknown, f.data, "for "+p.String(), note)
}

// finish is the end of the capture: what comes later belongs to the end of the
// world, and not to the program.
func (t *trace) finish() {
	if !t.over {
		must(t.file.Flush())
		t.over = true
	}
}

// bytes returns the capture, or its beginning if it has got too long.
func (t *trace) bytes() []byte {
	t.finish()
	return bytes.Join(t.kept, nil)
}

// identity is the SHA-256 of the whole capture.
func (t *trace) identity() string {
	t.finish()
	return hex.EncodeToString(t.sum.Sum(nil))
}

// Identity returns the SHA-256 of the capture so far, which says what a run was, and
// ends the capture. The same program with the same seed has the same; the versions of
// Go and of gVisor, and the architecture, are part of the program.
func (w *World) Identity() string {
	var id string
	w.do(func() { id = w.trace.identity() })
	return id
}

// WriteCapture writes the capture so far in the format pcapng, and ends it. Of one
// longer than 256 MiB it writes the beginning.
func (w *World) WriteCapture(to io.Writer) error {
	var b []byte
	w.do(func() { b = w.trace.bytes() })
	_, err := to.Write(b)
	return err
}

var _ io.Writer = (*trace)(nil)

// Logf adds words of the program to the capture, at the present time: what the
// program decided is part of what a run was. What is said at one moment is sorted.
func (w *World) Logf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.doAs(text, func() { w.trace.write(w.trace.events, pcapng.Unknown, nil, text) })
}

// versions names what an identity depends on beside the seed.
func versions() string {
	return fmt.Sprintf("%s, gVisor %s, %s/%s", runtime.Version(), stack.GVisorVersion(), runtime.GOOS, runtime.GOARCH)
}
