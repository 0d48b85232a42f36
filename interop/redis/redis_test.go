package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// client returns a client at the client's end, until the test ends.
func client(r *rig.Rig, addr string, f ...func(*redis.Options)) *redis.Client {
	r.Helper()
	o := &redis.Options{Addr: addr, Dialer: r.Client.Dial}
	for _, f := range f {
		f(o)
	}
	c := redis.NewClient(o)
	r.Cleanup(func() {
		if err := c.Close(); err != nil {
			r.Errorf("closing the client: %v", err)
		}
	})
	return c
}

// exercise does with a server what programs do.
func exercise(r *rig.Rig, addr string) {
	r.Run("values", func(t *testing.T) { values(t, client(r, addr)) })
	r.Run("pipeline", func(t *testing.T) { pipeline(t, client(r, addr)) })
	r.Run("pool", func(t *testing.T) { pool(t, client(r, addr, func(o *redis.Options) { o.PoolSize = 10 })) })
	r.Run("publish", func(t *testing.T) { publish(t, client(r, addr)) })
}

func TestRedcon(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) { exercise(r, serve(r)) })
}

func values(t *testing.T, c *redis.Client) {
	ctx := t.Context()
	big := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	for key, value := range map[string]string{"small": "1", "empty": "", "big": big} {
		if err := c.Set(ctx, key, value, 0).Err(); err != nil {
			t.Errorf("SET %s: %v", key, err)
		}
		if got, err := c.Get(ctx, key).Result(); err != nil || got != value {
			t.Errorf("GET %s: %d bytes of %d, %v", key, len(got), len(value), err)
		}
	}
	if n, err := c.Del(ctx, "small", "empty", "big", "none").Result(); n != 3 || err != nil {
		t.Errorf("DEL: %d, %v", n, err)
	}
	if _, err := c.Get(ctx, "small").Result(); err != redis.Nil {
		t.Errorf("GET of what is not there: %v", err)
	}
}

// pipeline sends a thousand commands before it reads an answer.
func pipeline(t *testing.T, c *redis.Client) {
	const n = 1000
	answers, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for range n {
			p.Incr(t.Context(), "pipeline")
		}
		return nil
	})
	if err != nil || len(answers) != n {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for i, a := range answers {
		if got := a.(*redis.IntCmd).Val(); got != int64(i+1) {
			t.Fatalf("answer %d is %d", i, got)
		}
	}
}

// pool shares ten connections between more goroutines.
func pool(t *testing.T, c *redis.Client) {
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			key := fmt.Sprint("pool", i)
			for j := range 20 {
				if n, err := c.Incr(t.Context(), key).Result(); err != nil || n != int64(j+1) {
					t.Errorf("INCR %s: %d, %v, want %d", key, n, err, j+1)
					return
				}
			}
		})
	}
	all.Wait()
	if s := c.PoolStats(); s.TotalConns > 10 || s.Timeouts > 0 || s.StaleConns > 0 {
		t.Errorf("the pool: %+v", s)
	}
}

func publish(t *testing.T, c *redis.Client) {
	ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
	defer cancel()
	sub := c.Subscribe(ctx, "news")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil { // that it has subscribed
		t.Fatal(err)
	}
	const n = 100
	go func() {
		for i := range n {
			c.Publish(ctx, "news", fmt.Sprint(i))
		}
	}()
	for i := range n {
		m, err := sub.ReceiveMessage(ctx)
		if err != nil || m.Channel != "news" || m.Payload != fmt.Sprint(i) {
			t.Fatalf("message %d: %v, %v", i, m, err)
		}
	}
}

// A server that says nothing is given up by the client's own timeouts.
func TestTimeouts(t *testing.T) {
	rig.Each(t, func(r *rig.Rig) {
		c := client(r, r.Listen().Addr().String(), func(o *redis.Options) {
			o.ReadTimeout, o.MaxRetries = 50*time.Millisecond, -1
		})
		err := c.Ping(r.Context()).Err()
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			r.Errorf("PING: %v", err)
		}
	})
}
