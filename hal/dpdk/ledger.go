package dpdk

import "fmt"

// A ledger says which slots of a half are on loan. Like the half, it has one owner.
type ledger struct {
	lent []bool
	free []uint16 // the last one is lent first: its memory is still in the cache
	out  int
}

func newLedger(n int) ledger {
	l := ledger{lent: make([]bool, n), free: make([]uint16, n)}
	for i := range l.free {
		l.free[i] = uint16(n - 1 - i)
	}
	return l
}

// lend takes the free slot that is lent next. There must be one.
func (l *ledger) lend() uint16 {
	last := len(l.free) - 1
	slot := l.free[last]
	l.free = l.free[:last]
	l.lent[slot] = true
	l.out++
	return slot
}

// check panics if a slot is not on loan: somebody else may be using its memory.
func (l *ledger) check(ref uint64) uint16 {
	if ref >= uint64(len(l.lent)) || !l.lent[ref] {
		panic(fmt.Sprintf("dpdk: a frame was given back twice, or to the wrong half (buffer %d)", ref))
	}
	return uint16(ref)
}

// back ends a loan.
func (l *ledger) back(ref uint64) uint16 {
	slot := l.check(ref)
	l.lent[slot] = false
	l.free = append(l.free, slot)
	l.out--
	return slot
}
