package tap

import "fmt"

// smallLoans is how many buffers for packets up to the MTU a half lends.
const smallLoans = 256

// headroom is what users get in front of an allocated frame. The virtio-net
// header has its own room before that.
const headroom = 64

// A pool is the memory of one half: buffers of one size, made when they are
// first needed and lent by number. It has one owner, like the half. The buffer
// that came back last is lent first: it is still in the cache.
type pool struct {
	size, limit int
	bufs        [][]byte
	lent        []bool
	free        []int
}

// get lends a buffer; false means that all are out.
func (p *pool) get() (ref int, buf []byte, ok bool) {
	if n := len(p.free); n > 0 {
		ref = p.free[n-1]
		p.free = p.free[:n-1]
	} else if ref = len(p.bufs); ref < p.limit {
		p.bufs = append(p.bufs, make([]byte, p.size))
		p.lent = append(p.lent, false)
	} else {
		return 0, nil, false
	}
	p.lent[ref] = true
	return ref, p.bufs[ref], true
}

// lentBuffer returns the buffer of a loan. It panics if the buffer is not out:
// somebody else may be writing to it already.
func (p *pool) lentBuffer(ref int) []byte {
	if ref < 0 || ref >= len(p.lent) || !p.lent[ref] {
		panic(fmt.Sprintf("tap: a frame was given back twice, or to the wrong half (buffer %d)", ref))
	}
	return p.bufs[ref]
}

// put takes a buffer back.
func (p *pool) put(ref int) {
	p.lentBuffer(ref)
	p.lent[ref] = false
	p.free = append(p.free, ref)
}
