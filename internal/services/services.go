// Package services is the classic small servers, to try a stack with: echo
// (RFC 862, TCP and UDP port 7), discard (RFC 863, TCP port 9), chargen (RFC 864,
// TCP port 19) and a small HTTP site (TCP port 80). They run on either face of a
// host, with the same bytes on the wire:
//
//	s := services.New(services.Config{Stats: host.Stats})
//	err := s.ServeQueues(ctx, host.LibOS(), ready) // one goroutine, completions
//	err := s.ServeNet(ctx, host.Net(), ready)      // a goroutine a connection, net/http
//
// The site:
//
//	GET  /         "Hello, world\n"
//	GET  /bytes/N  N bytes; byte i is i modulo 251
//	POST /sum      the SHA-256 of the body, in hex, and a line feed
//	GET  /stats    all counters as JSON
//	GET  /metrics  all counters as Prometheus text, version 0.0.4
//
// Bodies are streamed both ways and never held as a whole: who reads slowly is
// sent to slowly, and who is read from slowly must wait.
//
// The trap: echo over UDP does not answer ports below 1024. Two servers that
// answer each other would never stop.
package services

import (
	"log/slog"
	"time"

	"github.com/ringtail-net/ringtail/stack"
)

// The ports of the services.
const (
	echoPort    = 7
	discardPort = 9
	chargenPort = 19
	httpPort    = 80
)

// lowestUDPPort is the lowest port whose datagrams are answered.
const lowestUDPPort = 1024

// Config says what the services run with. The zero value works.
type Config struct {
	// Stats returns the counters of the host under the services, for /stats
	// and /metrics. Nil: they are all zero.
	Stats func() stack.Stats

	// Now is the time that replies are dated with and that Idle is measured
	// by. Nil: [time.Now].
	Now func() time.Time

	// Idle is how long a connection may stand still, in either direction,
	// before it is dropped. Zero: five minutes.
	Idle time.Duration

	// Logger gets a line for each connection that ends with an error, at the
	// debug level. Nil: silence.
	Logger *slog.Logger
}

// Services are the services of one host. They can be served on both faces, one
// after the other.
type Services struct {
	stats func() stack.Stats
	now   func() time.Time
	idle  time.Duration
	log   *slog.Logger
	began time.Time

	echoTCP, echoUDP, discard, chargen, web counter
	http                                    statuses
}

// New returns services that wait to be served.
func New(c Config) *Services {
	s := &Services{stats: c.Stats, now: c.Now, idle: c.Idle, log: c.Logger}
	if s.stats == nil {
		s.stats = func() stack.Stats { return stack.Stats{} }
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.idle == 0 {
		s.idle = 5 * time.Minute
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.began = s.now()
	return s
}

// A Snapshot is all counters at one moment.
type Snapshot struct {
	UptimeSeconds float64            `json:"uptime_seconds"`
	Services      map[string]Counter `json:"services"`
	HTTPReplies   map[int]uint64     `json:"http_replies"` // by status
	Host          stack.Stats        `json:"host"`
}

// Snapshot reads the counters.
func (s *Services) Snapshot() Snapshot {
	return Snapshot{
		UptimeSeconds: s.now().Sub(s.began).Seconds(),
		Services: map[string]Counter{
			"echo_tcp": s.echoTCP.read(), "echo_udp": s.echoUDP.read(), "discard": s.discard.read(),
			"chargen": s.chargen.read(), "http": s.web.read(),
		},
		HTTPReplies: s.http.read(),
		Host:        s.stats(),
	}
}
