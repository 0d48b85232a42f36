//go:build !linux

package hal

// Outside Linux a descriptor cannot be waited for by the standard library alone:
// its half is polled.
const canPoll = false

func newSleeper(h halves) (Sleeper, error) { return newChanSleeper(h), nil }
