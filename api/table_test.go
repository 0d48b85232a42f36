package api

import "testing"

func TestTable(t *testing.T) {
	tab := table[string]{bits: 2, max: 31} // three rows, eight generations
	seen := map[uint64]bool{}
	for range 8 * 3 {
		id := tab.add("x")
		if id == 0 || id > tab.max || seen[id] {
			t.Fatalf("number %d, after %d others", id, len(seen))
		}
		seen[id] = true
		if v, ok := tab.remove(id); v != "x" || !ok {
			t.Errorf("remove(%d) = %q, %v", id, v, ok)
		}
		if _, ok := tab.remove(id); ok {
			t.Errorf("%d was removed twice", id)
		}
		if len(seen) == 8 {
			break // now the first row's numbers come again
		}
	}
	a, b, c := tab.add("a"), tab.add("b"), tab.add("c")
	if id := tab.add("d"); id != 0 || tab.n != 3 {
		t.Errorf("a fourth row: %d, n = %d", id, tab.n)
	}
	for id := range uint64(100) {
		v, ok := tab.get(id)
		if want := id == a || id == b || id == c; ok != want {
			t.Errorf("get(%d) = %q, %v", id, v, ok)
		}
	}
	tab.remove(b)
	if v, _ := tab.get(c); v != "c" {
		t.Errorf("get(%d) = %q", c, v)
	}
}

// With spare rows the oldest free one is used again: numbers repeat later.
func TestTableSpare(t *testing.T) {
	tab := table[string]{bits: 3, max: 31, spare: 3} // four generations
	seen := map[uint64]bool{}
	for range 4 * 4 {
		id := tab.add("x")
		if id == 0 || seen[id] {
			t.Fatalf("number %d, after %d others", id, len(seen))
		}
		seen[id] = true
		tab.remove(id)
	}
	for i := range 7 {
		if id := tab.add("y"); id == 0 {
			t.Fatalf("no number after %d, of 7", i)
		}
	}
	if id := tab.add("z"); id != 0 {
		t.Errorf("an eighth row: %d", id)
	}
}

func TestList(t *testing.T) {
	type element struct {
		n    node[element]
		name string
	}
	var l list[element]
	es := make([]element, 3)
	for i := range es {
		es[i].n.of, es[i].name = &es[i], string(rune('a'+i))
		l.push(&es[i].n)
	}
	es[1].n.remove()
	es[1].n.remove() // not in a list: nothing
	l.push(&es[1].n)
	var got string
	for e := l.pop(); e != nil; e = l.pop() {
		got += e.name
	}
	if got != "acb" || l.n != 0 || l.front != nil || l.back != nil {
		t.Errorf("got %q, left %d", got, l.n)
	}
}
