package api

import "iter"

// An OpList is a list of ops in the order of their submission: what a transport
// keeps those in that wait. Its links live in the ops, so that it allocates
// nothing, and an op knows the list that it is in: taking one out of the middle
// costs no search. An op is in one list at a time, and in none when it is
// completed.
//
// The zero OpList is empty. It must not be copied, and is not safe for concurrent
// use: the transport's lock guards it.
type OpList struct{ ops list[Op] }

// Len returns the number of ops.
func (l *OpList) Len() int { return l.ops.n }

// Front returns the first op, or nil if the list is empty.
func (l *OpList) Front() *Op {
	if l.ops.front == nil {
		return nil
	}
	return l.ops.front.of
}

// Push adds op at the end. It panics if op is in a list.
func (l *OpList) Push(op *Op) {
	if op.place.in != nil {
		panic("api: an op that is in a list is put into one")
	}
	op.place.of = op
	l.ops.push(&op.place)
}

// Pop takes out the first op and returns it, or nil if the list is empty.
func (l *OpList) Pop() *Op { return l.ops.pop() }

// Remove takes op out and reports whether it was in this list. Being in another
// one it stays there.
func (l *OpList) Remove(op *Op) bool {
	if op.place.in != &l.ops {
		return false
	}
	op.place.remove()
	return true
}

// All returns the ops from the first to the last. The one that was returned last
// may be taken out meanwhile.
func (l *OpList) All() iter.Seq[*Op] {
	return func(yield func(*Op) bool) {
		for n := l.ops.front; n != nil; {
			next := n.next
			if !yield(n.of) {
				return
			}
			n = next
		}
	}
}
