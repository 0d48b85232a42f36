package services

import (
	"errors"
	"strconv"
	"strings"
)

// A framing finds the pieces and the end of a request body in a stream of
// bytes that arrives bit by bit.
type framing interface {
	// next returns the first piece of the body in p, which may be empty, and
	// how many bytes of p it has used, which are fewer than all only when the
	// body has ended or the call made a piece.
	next(p []byte) (piece []byte, used int, err error)
	// ended reports whether the body is complete.
	ended() bool
}

// counted is a body of known length.
type counted struct{ left int64 }

func (c *counted) next(p []byte) (piece []byte, used int, err error) {
	n := int(min(int64(len(p)), c.left))
	c.left -= int64(n)
	return p[:n], n, nil
}

func (c *counted) ended() bool { return c.left == 0 }

var errChunk = errors.New("malformed chunk")

// Bounds of what a chunked body may hold besides data. RFC 9112, section 7.1.1,
// asks for a limit on extensions.
const (
	maxChunkLine = 256
	maxTrailer   = 8 << 10
)

// chunked is a body in the chunked transfer coding, RFC 9112, section 7.1.
// Extensions and trailers are read and ignored.
type chunked struct {
	state   chunkState
	left    int64  // of the present chunk's data
	line    []byte // the part of a line that has arrived
	trailer int    // bytes of trailer so far
}

type chunkState uint8

const (
	chunkSize    chunkState = iota // in the line with the size
	chunkData                      // in the data
	chunkDataEnd                   // in the line end behind the data
	chunkTrailer                   // in the lines behind the last chunk
	chunkEnd                       // behind the empty line
)

func (c *chunked) ended() bool { return c.state == chunkEnd }

func (c *chunked) next(p []byte) (piece []byte, used int, err error) {
	for used < len(p) && c.state != chunkEnd {
		if c.state == chunkData {
			n := int(min(int64(len(p)-used), c.left))
			if c.left -= int64(n); c.left == 0 {
				c.state = chunkDataEnd
			}
			return p[used : used+n], used + n, nil
		}
		b := p[used]
		used++
		if b != '\n' {
			if c.line = append(c.line, b); len(c.line) > maxChunkLine && c.state != chunkTrailer || len(c.line) > maxTrailer {
				return nil, used, errChunk
			}
			continue
		}
		n := len(c.line)
		if n == 0 || c.line[n-1] != '\r' {
			return nil, used, errChunk // RFC 9112, section 7.1, knows no bare line feed
		}
		line := string(c.line[:n-1])
		c.line = c.line[:0]
		if err := c.endLine(line); err != nil {
			return nil, used, err
		}
	}
	return nil, used, nil
}

// endLine takes a complete line, without its end, in any state but chunkData.
func (c *chunked) endLine(line string) error {
	switch c.state {
	case chunkSize:
		return c.setSize(line)
	case chunkDataEnd:
		if line != "" {
			return errChunk
		}
		c.state = chunkSize
	case chunkTrailer:
		if c.trailer += len(line); c.trailer > maxTrailer {
			return errChunk
		}
		if line == "" {
			c.state = chunkEnd
		}
	}
	return nil
}

func (c *chunked) setSize(line string) error {
	digits, _, _ := strings.Cut(line, ";")
	digits = strings.TrimRight(digits, " \t")
	size, err := strconv.ParseUint(digits, 16, 63)
	if err != nil {
		return errChunk
	}
	c.left, c.state = int64(size), chunkData
	if size == 0 {
		c.state = chunkTrailer
	}
	return nil
}
