package api

// A table gives numbers to values: an index in the low bits, and above it how
// often that index was used before, so that a number is not soon given again.
// Numbers start at 1. Looking up, adding and removing take constant time.
type table[V any] struct {
	bits int // of the index
	max  uint64

	// spare is how many free rows there are before one is used again, the
	// oldest first. With 0 the last freed is, which is warm.
	spare int

	rows []row[V]
	free []int
	n    int
}

type row[V any] struct {
	gen  uint64
	used bool
	v    V
}

// add returns a number for v, or 0 if there is none left.
func (t *table[V]) add(v V) uint64 {
	var i int
	switch k := len(t.free); {
	case k > t.spare && t.spare > 0, k > 0 && len(t.rows) == 1<<t.bits-1:
		i = t.free[0]
		t.free = t.free[1:]
	case k > t.spare:
		i = t.free[k-1]
		t.free = t.free[:k-1]
	case len(t.rows) < 1<<t.bits-1:
		i = len(t.rows)
		t.rows = append(t.rows, row[V]{})
	default:
		return 0
	}
	r := &t.rows[i]
	r.used, r.v = true, v
	t.n++
	return (r.gen<<t.bits | uint64(i+1)) & t.max
}

// find returns the row of a number, or nil.
func (t *table[V]) find(id uint64) *row[V] {
	i := id&(1<<t.bits-1) - 1
	if i >= uint64(len(t.rows)) { // also for index 0, which wraps around
		return nil
	}
	r := &t.rows[i]
	if !r.used || (r.gen<<t.bits)&t.max != id&^(1<<t.bits-1) {
		return nil
	}
	return r
}

func (t *table[V]) get(id uint64) (v V, ok bool) {
	r := t.find(id)
	if r == nil {
		return v, false
	}
	return r.v, true
}

// remove takes out a number and returns its value.
func (t *table[V]) remove(id uint64) (v V, ok bool) {
	r := t.find(id)
	if r == nil {
		return v, false
	}
	v, ok = r.v, true
	*r = row[V]{gen: r.gen + 1}
	t.free = append(t.free, int(id&(1<<t.bits-1)-1))
	t.n--
	return v, ok
}
