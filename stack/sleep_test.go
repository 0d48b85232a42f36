package stack

import (
	"testing"
	"time"
)

// TestWakeIsNotTheOwners: a Wake without a Sleep ends the next Sleep, though the
// owner, who waits for the same devices, has woken up for it long before. It is
// how a caller learns that its op was done while it went to sleep.
func TestWakeIsNotTheOwners(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for range 20 {
		turns := h.turns.Load()
		h.Wake()
		waitUntil(t, "the owner runs a turn for it", func() bool { return h.turns.Load() > turns })
		slept := make(chan error, 1)
		go func() { slept <- h.Sleep(time.Time{}) }()
		select {
		case err := <-slept:
			if err != nil {
				t.Fatal(err)
			}
			h.Turn()
		case <-time.After(patience):
			t.Fatal("Sleep does not end: its Wake is lost")
		}
	}
}
