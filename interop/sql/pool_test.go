package sql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// open returns a pool of at most n connections.
func open(t testing.TB, n int, dial func(ctx context.Context) (net.Conn, error)) *sql.DB {
	db := sql.OpenDB(&connector{dial})
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the pool: %v", err)
		}
	})
	return db
}

// fill makes a pool open all its connections, by using them at once.
func fill(t testing.TB, db *sql.DB) {
	t.Helper()
	for range db.Stats().MaxOpenConnections {
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := query(t.Context(), c, "x"); err != nil { // so the server has it, too
			t.Fatal(err)
		}
	}
}

// each runs a test with a server and a pool of eight connections to it.
func each(t *testing.T, test func(r *rig.Rig, s *server, db *sql.DB)) {
	rig.Each(t, func(r *rig.Rig) {
		s := start(r.Listen())
		r.Cleanup(s.stop)
		test(r, s, open(r, 8, func(ctx context.Context) (net.Conn, error) {
			return r.Client.Dial(ctx, "tcp", s.ln.Addr().String())
		}))
	})
}

func TestPool(t *testing.T) {
	each(t, func(r *rig.Rig, s *server, db *sql.DB) {
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				for j := range 20 {
					if _, err := query(r.Context(), db, fmt.Sprint(i, ":", j)); err != nil {
						r.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		if open, total, _ := s.state(); open > 8 || total > 8 {
			r.Errorf("the server saw %d connections, and has %d: the pool must keep 8", total, open)
		}
	})
}

// A query that takes too long ends with its context, and its connection with it.
func TestQueryTimeout(t *testing.T) {
	each(t, func(r *rig.Rig, _ *server, db *sql.DB) {
		first, err := query(r.Context(), db, "x")
		if err != nil {
			r.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(r.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := query(ctx, db, "slow"); !errors.Is(err, context.DeadlineExceeded) {
			r.Errorf("a slow query: %v", err)
		}
		if again, err := query(r.Context(), db, "y"); err != nil || again == first {
			r.Errorf("after a slow query: connection %s, %v, want another than %s", again, err, first)
		}
	})
}

// A server that is restarted has closed all connections of the pool. While it is
// away, queries are refused; afterwards none fails.
func TestServerRestart(t *testing.T) {
	each(t, func(r *rig.Rig, s *server, db *sql.DB) {
		fill(r, db)
		s.stop()
		// The end of the connections is on its way. Until it is there a query may
		// be on one of them, and still ends as bad.
		if _, err := query(r.Context(), db, "x"); !errors.Is(err, syscall.ECONNREFUSED) {
			r.Errorf("while the server is away: %v, want ECONNREFUSED", err)
		}
		ln, err := r.Server.Listen("tcp", s.ln.Addr().String())
		if err != nil {
			r.Fatal(err)
		}
		second := start(ln)
		r.Cleanup(second.stop)
		for i := range 20 {
			if _, err := query(r.Context(), db, fmt.Sprint(i)); err != nil {
				r.Errorf("query %d after the restart: %v", i, err)
			}
		}
	})
}
