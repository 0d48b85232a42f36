package bridge

import (
	"testing"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

// A queue that always has frames, or never.
type queue struct {
	asked int
	busy  bool
}

func (q *queue) Rx(fs []hal.Frame) (int, error) {
	q.asked++
	if !q.busy {
		return 0, nil
	}
	for i := range fs {
		fs[i] = hal.NewFrame(make([]byte, 60), 0, 60, 0)
	}
	return len(fs), nil
}

func (*queue) Release([]hal.Frame) {}

func TestReceiveIsFair(t *testing.T) {
	d, peer, err := loopback.Pair(loopback.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	defer peer.Close()
	l, err := New(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	busy, quiet := &queue{busy: true}, &queue{}
	l.rx.queues = []hal.RxQueue{busy, quiet}
	for range 100 {
		if more, err := l.Receive(64); err != nil || !more {
			t.Fatal(more, err)
		}
	}
	if quiet.asked == 0 {
		t.Errorf("the busy queue was asked %d times, the other one never", busy.asked)
	}
}
