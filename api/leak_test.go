package api_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail/api"
)

// Whoever has an array in his hands is named, and nobody else.
func TestLeaks(t *testing.T) {
	var log bytes.Buffer
	l := api.New(&stub{}, api.Config{TrackMemory: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	leaks := func(what string, want ...string) {
		t.Helper()
		got := l.Leaks()
		if len(got) != len(want) {
			t.Errorf("%s: %d leaks, want %d", what, len(got), len(want))
			return
		}
		for i, w := range want {
			if first, _, _ := strings.Cut(got[i].Stack, " "); !strings.HasSuffix(first, w) || got[i].Bytes < 1 {
				t.Errorf("%s: %+v, want %s", what, got[i], w)
			}
		}
	}
	qd := must1(l.Socket(api.TCP))
	a := allocates(l)
	leaks("allocated", ".allocates")
	id := must1(l.Push(qd, a))
	leaks("pushed")
	must1(l.Pop(qd))
	leaks("pushed, and a pop that nobody has taken")
	c := claims(l, id)
	leaks("the push is taken", ".claims")
	var out [1]api.Completion
	must1(l.WaitNext(ctx, out[:]))
	leaks("the pop is taken", ".claims", ".TestLeaks")
	c.SGA.Free()
	leaks("the push is freed", ".TestLeaks")
	if _, err := l.Push(qd+1, out[0].SGA); err == nil {
		t.Error("a push on no queue")
	}
	leaks("a push is refused", ".TestLeaks")
	must(l.Exit())
	must(l.Exit())
	if n := strings.Count(log.String(), "not freed before Exit"); n != 1 || !strings.Contains(log.String(), "leak_test.go") {
		t.Errorf("%d leaks logged: %s", n, log.String())
	}
	out[0].SGA.Free()
	leaks("after Exit")

	l = api.New(&stub{}, api.Config{})
	defer l.Exit()
	defer l.Alloc(1).Free()
	leaks("without tracking")
}

//go:noinline
func allocates(l *api.LibOS) api.SGA { return l.Alloc(10) }

//go:noinline
func claims(l *api.LibOS, id api.Token) api.Completion { return must1(l.Wait(ctx, id)) }

func TestPoison(t *testing.T) {
	l := api.New(&stub{}, api.Config{Strict: true})
	defer l.Exit()
	sga := l.Alloc(100_000)
	var kept [][]byte
	for _, seg := range sga.Segs {
		clear(seg)
		kept = append(kept, seg)
	}
	sga.Free()
	for _, seg := range kept {
		if bytes.Count(seg, []byte{0xdb}) != len(seg) {
			t.Errorf("a segment of %d bytes was not poisoned", len(seg))
		}
	}
}
