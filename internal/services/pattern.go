package services

import "io"

// chunk is how many bytes the services read or write at a time.
const chunk = 64 << 10

// A pattern is an endless, repeating sequence of bytes. It is stored long
// enough that a chunk from any place of its period is contiguous.
type pattern struct {
	period int
	bytes  []byte
}

func newPattern(period []byte) pattern {
	p := pattern{period: len(period)}
	for len(p.bytes) < len(period)+chunk {
		p.bytes = append(p.bytes, period...)
	}
	return p
}

// at returns up to n bytes of the pattern from offset on: read-only memory,
// shared by all callers.
func (p pattern) at(offset int64, n int) []byte {
	start := int(offset % int64(p.period))
	return p.bytes[start : start+min(n, chunk)]
}

// primePattern is what /bytes/N sends: byte i is i modulo 251. 251 is prime, so
// that a piece moved by any power of two shows. In Python the same bytes are
// (bytes(range(251)) * (n // 251 + 1))[:n].
var primePattern = func() pattern {
	period := make([]byte, 251)
	for i := range period {
		period[i] = byte(i)
	}
	return newPattern(period)
}()

// chargenPattern is that of RFC 864: lines of 72 printable characters out of a
// ring of 95, each line beginning one character later.
var chargenPattern = func() pattern {
	const first, ring, width = ' ', 95, 72
	var period []byte
	for line := range ring {
		for i := range width {
			period = append(period, byte(first+(line+i)%ring))
		}
		period = append(period, '\r', '\n')
	}
	return newPattern(period)
}()

// Bytes reads what /bytes/N sends, for n = N.
func Bytes(n int64) io.Reader { return &patternReader{pattern: primePattern, size: n} }

// A patternReader reads the first size bytes of a pattern. It never blocks.
type patternReader struct {
	pattern
	offset, size int64
}

func (r *patternReader) Read(b []byte) (int, error) {
	if r.offset == r.size {
		return 0, io.EOF
	}
	n := copy(b, r.at(r.offset, int(min(int64(len(b)), r.size-r.offset))))
	r.offset += int64(n)
	return n, nil
}
