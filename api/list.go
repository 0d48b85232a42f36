package api

// A list is a doubly linked list whose links live in its elements: adding and
// removing allocate nothing, and removing from the middle costs no search.
type list[T any] struct {
	front, back *node[T]
	n           int
}

// A node is an element's place in a list; of is the element.
type node[T any] struct {
	next, prev *node[T]
	in         *list[T]
	of         *T
}

func (l *list[T]) push(n *node[T]) {
	n.in, n.prev, n.next = l, l.back, nil
	if l.back != nil {
		l.back.next = n
	} else {
		l.front = n
	}
	l.back = n
	l.n++
}

// insert adds n behind the last element that goes before it: behind all of them,
// most of the time.
func (l *list[T]) insert(n *node[T], before func(a, b *T) bool) {
	at := l.back
	for at != nil && !before(at.of, n.of) {
		at = at.prev
	}
	if at == l.back {
		l.push(n)
		return
	}
	n.in, n.prev, n.next = l, at, l.front
	if at != nil {
		n.next = at.next
		at.next = n
	} else {
		l.front = n
	}
	n.next.prev = n
	l.n++
}

// pop removes and returns the first element, or nil.
func (l *list[T]) pop() *T {
	n := l.front
	if n == nil {
		return nil
	}
	n.remove()
	return n.of
}

// remove takes n out of its list, if it is in one.
func (n *node[T]) remove() {
	l := n.in
	if l == nil {
		return
	}
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.front = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.back = n.prev
	}
	n.in, n.prev, n.next = nil, nil, nil
	l.n--
}
