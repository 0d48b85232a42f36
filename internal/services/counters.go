package services

import (
	"maps"
	"sync"
	"sync/atomic"
)

// A Counter is what one service has done since the start.
type Counter struct {
	Open     int64  `json:"open"`     // connections now
	Accepted uint64 `json:"accepted"` // connections, ever
	Failed   uint64 `json:"failed"`   // connections that ended with an error
	RxBytes  uint64 `json:"rx_bytes"`
	TxBytes  uint64 `json:"tx_bytes"`
}

// counter is a Counter while it counts. A datagram service has no connections.
type counter struct {
	open                       atomic.Int64
	accepted, failed, in, sent atomic.Uint64
}

func (c *counter) opened() { c.open.Add(1); c.accepted.Add(1) }

func (c *counter) closed(err error) {
	c.open.Add(-1)
	if err != nil {
		c.failed.Add(1)
	}
}

func (c *counter) rx(n int) { c.in.Add(uint64(n)) }
func (c *counter) tx(n int) { c.sent.Add(uint64(n)) }

func (c *counter) read() Counter {
	return Counter{
		Open: c.open.Load(), Accepted: c.accepted.Load(), Failed: c.failed.Load(),
		RxBytes: c.in.Load(), TxBytes: c.sent.Load(),
	}
}

// statuses counts HTTP replies by status.
type statuses struct {
	mu sync.Mutex
	n  map[int]uint64
}

func (s *statuses) count(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == nil {
		s.n = map[int]uint64{}
	}
	s.n[status]++
}

func (s *statuses) read() map[int]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.n)
}
