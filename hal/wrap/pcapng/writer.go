package pcapng

import (
	"encoding/binary"
	"io"
	"strings"
	"sync"
)

// flushAt is how many bytes a Writer keeps at most before it writes them.
const flushAt = 64 << 10

// A Writer writes a capture. Its methods may be called by several goroutines.
// After the first error of the stream below it writes nothing more, and every
// call returns that error.
type Writer struct {
	mu         sync.Mutex // guards the following
	w          io.Writer
	buf        []byte // whole blocks only
	interfaces int
	err        error
}

// NewWriter begins a capture; nothing is written before the first Flush. The
// name of the program is noted in it. The Writer does not close w.
//
// It hands w whole blocks, so what a reader of a pipe gets is always a capture.
func NewWriter(w io.Writer, application string) *Writer {
	cw := &Writer{w: w}
	b := cw.begin(blockSection)
	b = le.AppendUint32(b, byteOrderMagic)
	b = le.AppendUint16(b, 1) // version 1.0
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, ^uint64(0)) // the section's length is not known yet
	if application != "" {
		b = endOptions(appendOption(b, optApplication, application))
	}
	cw.end(b)
	return cw
}

// AddInterface declares an interface and returns its number, for the packets.
func (w *Writer) AddInterface(i Interface) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.begin(blockInterface)
	b = le.AppendUint16(b, linkEthernet)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(i.SnapLen))
	if i.Name != "" {
		b = appendOption(b, optName, i.Name)
	}
	if i.Description != "" {
		b = appendOption(b, optDescription, i.Description)
	}
	b = appendOption(b, optResolution, string([]byte{nanoseconds}))
	w.end(endOptions(b))
	w.interfaces++
	return w.interfaces - 1
}

// Write adds a packet. It keeps neither Data nor Comments.
func (w *Writer) Write(p Packet) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	at := uint64(p.Time.UnixNano())
	b := w.begin(blockPacket)
	b = le.AppendUint32(b, uint32(p.Interface))
	b = le.AppendUint32(b, uint32(at>>32))
	b = le.AppendUint32(b, uint32(at))
	b = le.AppendUint32(b, uint32(len(p.Data)))
	b = le.AppendUint32(b, uint32(max(p.Len, len(p.Data))))
	b = pad(append(b, p.Data...))
	if p.Dir != Unknown {
		b = le.AppendUint16(b, optFlags)
		b = le.AppendUint16(b, 4)
		b = le.AppendUint32(b, uint32(p.Dir))
	}
	for _, c := range p.Comments {
		b = appendOption(b, optComment, c)
	}
	if p.Dir != Unknown || len(p.Comments) > 0 {
		b = endOptions(b)
	}
	w.end(b)
	if len(w.buf) >= flushAt {
		w.flush()
	}
	return w.err
}

// Flush writes what has been kept.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	return w.err
}

// Err returns the error that has ended the capture, or nil.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Writer) flush() {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.w.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// le is the byte order of what is written, on every machine.
var le = binary.LittleEndian

// begin starts a block at the end of the buffer; its length is filled in by end.
func (w *Writer) begin(typ uint32) []byte {
	b := le.AppendUint32(w.buf, typ)
	return le.AppendUint32(b, 0)
}

// end finishes the block that starts where the buffer ended before.
func (w *Writer) end(b []byte) {
	start := len(w.buf)
	size := uint32(len(b) - start + 4)
	le.PutUint32(b[start+4:], size)
	w.buf = le.AppendUint32(b, size)
}

// appendOption appends an option, cut to the length the format allows.
func appendOption(b []byte, code uint16, value string) []byte {
	if len(value) > 0xffff {
		value = strings.ToValidUTF8(value[:0xffff], "")
	}
	b = le.AppendUint16(b, code)
	b = le.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...))
}

func endOptions(b []byte) []byte { return le.AppendUint32(b, optEnd) }

// pad fills up to a multiple of four bytes. Blocks are such multiples, so the
// length of the buffer counts.
func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
