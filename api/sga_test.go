package api_test

import (
	"bytes"
	"syscall"
	"testing"

	"github.com/ringtail-net/ringtail/api"
)

func TestAlloc(t *testing.T) {
	l := api.New(&stub{}, api.Config{Strict: true})
	defer l.Exit()
	for _, size := range []int{-1, 0, 1, 255, 256, 257, 64 << 10, 64<<10 + 1, 1 << 20} {
		s := l.Alloc(size)
		if want := max(size, 0); s.Len() != want {
			t.Errorf("Alloc(%d): %d bytes", size, s.Len())
		}
		for _, seg := range s.Segs {
			if len(seg) == 0 || len(seg) > 64<<10 {
				t.Errorf("Alloc(%d): a segment of %d bytes", size, len(seg))
			}
		}
		s.Free()
	}
	if s := l.Stats(); s.SGAs != 0 || s.SGABytes != 0 || s.Misused != 0 {
		t.Errorf("%+v", s)
	}
	leak := l.Alloc(1000)
	if s := l.Stats(); s.SGAs != 1 || s.SGABytes < 1000 {
		t.Errorf("with one on loan: %+v", s)
	}
	leak.Free()
}

func TestSGAOf(t *testing.T) {
	p := []byte("own")
	s := api.SGAOf(p, nil, []byte(" memory"))
	if s.Len() != 10 || string(s.Append([]byte("> "))) != "> own memory" {
		t.Errorf("%q", s.Append(nil))
	}
	s.Free()
	s.Free()
	if !bytes.Equal(p, []byte("own")) {
		t.Error("Free touched the user's memory")
	}
}

// Misuse of memory is counted, and does no harm.
func TestSGAMisuse(t *testing.T) {
	tr := &stub{}
	l := api.New(tr, api.Config{})
	defer l.Exit()
	qd := must1(l.Socket(api.UDP))
	misused := func(what string, n uint64) {
		t.Helper()
		if s := l.Stats(); s.Misused != n || s.SGAs < 0 {
			t.Errorf("%s: %+v, want %d misuses", what, s, n)
		}
	}
	s := l.Alloc(10)
	dup := s
	s.Free()
	dup.Free()
	misused("freed twice", 1)
	next := l.Alloc(10) // most likely the same memory
	s.Free()
	misused("freed after it was somebody else's", 2)
	if n := l.Stats().SGAs; n != 1 {
		t.Errorf("%d arrays on loan, want the new one", n)
	}
	if _, err := l.Push(qd, s); err == nil {
		t.Error("a freed array was pushed")
	}
	misused("pushed after free", 3)

	tr.hold = true
	push := must1(l.Push(qd, next))
	next.Free()
	misused("freed during a push", 4)
	tr.finish(nil)
	c := must1(l.Wait(ctx, push))
	c.SGA.Free()
	misused("freed after the push", 4)
	if n := l.Stats().SGAs; n != 0 {
		t.Errorf("%d arrays on loan", n)
	}
	// A push that is refused borrows nothing.
	s = l.Alloc(10)
	if _, err := l.Push(qd+1, s); err == nil {
		t.Error("a push on no queue")
	}
	s.Free()
	misused("after a refused push", 4)
}

func TestStrictPanicsOnMisuse(t *testing.T) {
	l := api.New(&stub{}, api.Config{Strict: true})
	defer l.Exit()
	s := l.Alloc(10)
	s.Free()
	defer func() {
		if recover() == nil {
			t.Error("freed twice without a panic")
		}
	}()
	s.Free()
}

// The memory of a pop that fails or brings nothing does not leak.
func TestPopThatBringsNothing(t *testing.T) {
	tr := &stub{hold: true}
	l := api.New(tr, api.Config{})
	defer l.Exit()
	qd := must1(l.Socket(api.TCP))
	pop := must1(l.Pop(qd))
	tr.finish(syscall.ECONNRESET)
	if c := must1(l.Wait(ctx, pop)); c.Err == nil || c.SGA.Len() != 0 {
		t.Errorf("%+v", c)
	}
	if s := l.Stats(); s.SGAs != 0 {
		t.Errorf("%+v", s)
	}
}

// A second Free is charged to the LibOS that the array was of, whoever has the
// memory meanwhile.
func TestStaleFreeIsTheCulprits(t *testing.T) {
	culprit, other := api.New(&stub{}, api.Config{}), api.New(&stub{}, api.Config{Strict: true})
	defer culprit.Exit()
	defer other.Exit()
	const n = 100
	var stale [n]api.SGA
	for i := range stale {
		stale[i] = culprit.Alloc(1000)
	}
	for _, s := range stale {
		s.Free()
	}
	var live [n]api.SGA
	for i := range live {
		live[i] = other.Alloc(1000)
	}
	for i := range stale {
		stale[i].Free()
		defer live[i].Free()
	}
	if c, o := culprit.Stats(), other.Stats(); c.Misused != n || o.Misused != 0 || o.SGAs != n {
		t.Errorf("culprit %+v, the other %+v", c, o)
	}
}
