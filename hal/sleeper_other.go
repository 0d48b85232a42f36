//go:build !linux

package hal

import "time"

// Outside Linux a descriptor cannot be waited for by the standard library alone:
// its half is polled.
const canPoll = false

// pause sleeps as exactly as the system's timers do.
func pause(d time.Duration) { time.Sleep(d) }

func newSleeper(h halves) (Sleeper, error) { return newChannelSleeper(h), nil }
