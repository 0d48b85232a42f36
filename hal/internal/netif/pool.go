package netif

import "fmt"

// A Pool is the memory of one half: buffers of one size, made when they are
// first needed and lent by number. It has one owner, like the half. The buffer
// that came back last is lent first: it is still in the cache.
type Pool struct {
	Size  int // of a buffer, in bytes
	Limit int // how many buffers there are at most

	bufs [][]byte
	lent []bool
	free []int
}

// Get lends a buffer; false means that all are out.
func (p *Pool) Get() (ref int, buf []byte, ok bool) {
	if n := len(p.free); n > 0 {
		ref = p.free[n-1]
		p.free = p.free[:n-1]
	} else if ref = len(p.bufs); ref < p.Limit {
		p.bufs = append(p.bufs, make([]byte, p.Size))
		p.lent = append(p.lent, false)
	} else {
		return 0, nil, false
	}
	p.lent[ref] = true
	return ref, p.bufs[ref], true
}

// Lent returns the buffer of a loan. It panics if the buffer is not out:
// somebody else may be writing to it already.
func (p *Pool) Lent(ref int) []byte {
	if ref < 0 || ref >= len(p.lent) || !p.lent[ref] {
		panic(fmt.Sprintf("hal: a frame was given back twice, or to the wrong half (buffer %d)", ref))
	}
	return p.bufs[ref]
}

// Put takes a buffer back.
func (p *Pool) Put(ref int) {
	p.Lent(ref)
	p.lent[ref] = false
	p.free = append(p.free, ref)
}
