package pcapng

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// longestBlock is the longest block that a Reader takes: many times what a
// packet with its comments needs.
const longestBlock = 16 << 20

// A Reader reads a capture, in either byte order, from any program. It passes
// over blocks other than sections, interfaces and enhanced packets. One goroutine
// at a time may use it.
type Reader struct {
	r          io.Reader
	order      binary.ByteOrder
	interfaces []reading
	head       [12]byte
	body       bytes.Buffer
}

// reading is an interface with what its time stamps mean.
type reading struct {
	Interface
	second uint64 // ticks of a second
	offset int64  // seconds to add
}

// NewReader makes a Reader. It reads nothing yet.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Interfaces returns the interfaces of the current section that were declared so
// far. The number in a Packet is the index.
func (r *Reader) Interfaces() []Interface {
	is := make([]Interface, len(r.interfaces))
	for i := range is {
		is[i] = r.interfaces[i].Interface
	}
	return is
}

// Next returns the next packet, whose Data is valid until the following call.
// At the end it returns io.EOF, in the middle of a block io.ErrUnexpectedEOF, and
// ErrFormat for what is not a capture.
func (r *Reader) Next() (Packet, error) {
	for {
		typ, body, err := r.block()
		if err != nil {
			return Packet{}, err
		}
		switch typ {
		case blockSection:
			r.interfaces = nil
		case blockInterface:
			err = r.readInterface(body)
		case blockPacket:
			return r.readPacket(body)
		}
		if err != nil {
			return Packet{}, err
		}
	}
}

// block reads one block and returns its type and body.
func (r *Reader) block() (typ uint32, body []byte, err error) {
	if _, err := io.ReadFull(r.r, r.head[:8]); err != nil {
		return 0, nil, err
	}
	head := r.head[:8]
	if le.Uint32(head) == blockSection { // the same in both orders
		if err := r.readFull(r.head[8:12]); err != nil {
			return 0, nil, err
		}
		if r.order = orderOf(r.head[8:12]); r.order == nil {
			return 0, nil, fmt.Errorf("%w: unknown byte order", ErrFormat)
		}
		head = r.head[:12]
	}
	if r.order == nil {
		return 0, nil, fmt.Errorf("%w: it does not begin with a section", ErrFormat)
	}
	size := r.order.Uint32(head[4:])
	if size < uint32(len(head))+4 || size > longestBlock || size%4 != 0 {
		return 0, nil, fmt.Errorf("%w: a block of %d bytes", ErrFormat, size)
	}
	// Copied piece by piece: a length that lies must not cost memory.
	rest := int64(size) - int64(len(head))
	r.body.Reset()
	if n, err := io.CopyN(&r.body, r.r, rest); n < rest {
		return 0, nil, truncated(err)
	}
	body = r.body.Bytes()
	if r.order.Uint32(body[rest-4:]) != size {
		return 0, nil, fmt.Errorf("%w: the two lengths of a block differ", ErrFormat)
	}
	return r.order.Uint32(head), body[:rest-4], nil
}

func (r *Reader) readFull(b []byte) error {
	_, err := io.ReadFull(r.r, b)
	return truncated(err)
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func orderOf(magic []byte) binary.ByteOrder {
	switch {
	case binary.LittleEndian.Uint32(magic) == byteOrderMagic:
		return binary.LittleEndian
	case binary.BigEndian.Uint32(magic) == byteOrderMagic:
		return binary.BigEndian
	}
	return nil
}

func (r *Reader) readInterface(body []byte) error {
	if len(body) < 8 {
		return fmt.Errorf("%w: an interface of %d bytes", ErrFormat, len(body))
	}
	i := reading{second: 1e6}
	i.SnapLen = int(r.order.Uint32(body[4:]))
	ok := true
	r.options(body[8:], func(code uint16, value []byte) {
		switch {
		case code == optName:
			i.Name = string(value)
		case code == optDescription:
			i.Description = string(value)
		case code == optResolution && len(value) == 1:
			i.second, ok = ticks(value[0])
		case code == optOffset && len(value) == 8:
			i.offset = int64(r.order.Uint64(value))
		}
	})
	if !ok {
		return fmt.Errorf("%w: the resolution of an interface's time is out of range", ErrFormat)
	}
	r.interfaces = append(r.interfaces, i)
	return nil
}

// ticks returns how many units of a resolution make a second: a power of ten,
// or with the highest bit set of two.
func ticks(resolution byte) (uint64, bool) {
	n := int(resolution & 0x7f)
	if resolution&0x80 != 0 {
		return 1 << min(n, 63), n <= 63
	}
	t := uint64(1)
	for range min(n, 19) {
		t *= 10
	}
	return t, n <= 19
}

func (r *Reader) readPacket(body []byte) (Packet, error) {
	if len(body) < 20 {
		return Packet{}, fmt.Errorf("%w: a packet of %d bytes", ErrFormat, len(body))
	}
	number, size := r.order.Uint32(body), r.order.Uint32(body[12:])
	if int64(number) >= int64(len(r.interfaces)) {
		return Packet{}, fmt.Errorf("%w: a packet of interface %d of %d", ErrFormat, number, len(r.interfaces))
	}
	if int64(size) > int64(len(body)-20) {
		return Packet{}, fmt.Errorf("%w: a packet longer than its block", ErrFormat)
	}
	at := uint64(r.order.Uint32(body[4:]))<<32 | uint64(r.order.Uint32(body[8:]))
	p := Packet{
		Interface: int(number),
		Time:      r.interfaces[number].time(at),
		Data:      body[20 : 20+size : 20+size],
		Len:       int(r.order.Uint32(body[16:])),
	}
	padded := min((int(size)+3)&^3, len(body)-20)
	r.options(body[20+padded:], func(code uint16, value []byte) {
		switch {
		case code == optFlags && len(value) == 4:
			p.Dir = Direction(r.order.Uint32(value) & 3)
		case code == optComment:
			p.Comments = append(p.Comments, string(value))
		}
	})
	return p, nil
}

func (i *reading) time(at uint64) time.Time {
	hi, lo := bits.Mul64(at%i.second, 1e9)
	ns, _ := bits.Div64(hi, lo, i.second)
	return time.Unix(int64(at/i.second)+i.offset, int64(ns))
}

// options calls f for each option. It ends at the first that does not fit.
func (r *Reader) options(b []byte, f func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, size := r.order.Uint16(b), int(r.order.Uint16(b[2:]))
		if b = b[4:]; code == optEnd || size > len(b) {
			return
		}
		f(code, b[:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}
