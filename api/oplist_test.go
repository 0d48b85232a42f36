package api_test

import (
	"slices"
	"testing"

	"github.com/ringtail-net/ringtail/api"
)

func TestOpList(t *testing.T) {
	ops := make([]*api.Op, 5)
	for i := range ops {
		ops[i] = api.NewOp()
		ops[i].Seq = uint64(i)
	}
	var l, other api.OpList
	holds := func(want ...uint64) {
		t.Helper()
		var got []uint64
		for op := range l.All() {
			got = append(got, op.Seq)
		}
		if !slices.Equal(got, want) || l.Len() != len(want) {
			t.Errorf("the list has %d, which are %v, want %v", l.Len(), got, want)
		}
		if f := l.Front(); (f == nil) != (len(want) == 0) || f != nil && f.Seq != want[0] {
			t.Errorf("the first is %+v", f)
		}
	}
	holds()
	if op := l.Pop(); op != nil {
		t.Errorf("an empty list gives %+v", op)
	}
	for _, op := range ops {
		l.Push(op)
	}
	holds(0, 1, 2, 3, 4)
	if other.Remove(ops[2]) || other.Len() != 0 {
		t.Error("removed from a list that it is not in")
	}
	if !l.Remove(ops[2]) || l.Remove(ops[2]) {
		t.Error("the one in the middle is removed, once")
	}
	holds(0, 1, 3, 4)
	other.Push(ops[2])
	if l.Remove(ops[2]) || other.Len() != 1 {
		t.Error("removed by a list that it is not in any more")
	}
	if !l.Remove(ops[4]) || !l.Remove(ops[0]) {
		t.Error("the ends are removed")
	}
	l.Push(ops[0])
	holds(1, 3, 0)
	if op := l.Pop(); op != ops[1] {
		t.Errorf("popped %d", op.Seq)
	}
	for op := range l.All() {
		l.Remove(op)
	}
	holds()
	if op := other.Pop(); op != ops[2] {
		t.Errorf("the other list gives %+v", op)
	}
}

// An op is in one list: in two it would tear both.
func TestOpInTwoLists(t *testing.T) {
	var a, b api.OpList
	op := api.NewOp()
	a.Push(op)
	for _, l := range []*api.OpList{&a, &b} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("an op could be put into a second list")
				}
			}()
			l.Push(op)
		}()
	}
	if a.Len() != 1 || b.Len() != 0 || a.Pop() != op {
		t.Error("it has done harm")
	}
}
