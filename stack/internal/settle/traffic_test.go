package settle

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// randomBytes returns n bytes that depend on the seed only.
func randomBytes(n int, seed uint64) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

// request sends data to an echo server and compares what comes back.
func request(t *testing.T, h *host, port uint16, data []byte) *conn {
	t.Helper()
	c := dial(t, h, port, func(c *conn) {
		if len(c.out) == 0 && tcp.EndpointState(c.ep.State()) == tcp.StateEstablished {
			c.ep.Shutdown(tcpip.ShutdownWrite)
		}
		if c.eof || c.err != nil {
			c.close()
		}
	})
	c.out = data
	return c
}

// echoed checks that a request has come to its end, with its bytes.
func (c *conn) echoed(t *testing.T, data []byte) {
	t.Helper()
	if c.err != nil || !c.eof {
		t.Errorf("after %d of %d bytes: end of stream %v, error %v", c.in.Len(), len(data), c.eof, c.err)
	} else if !bytes.Equal(c.in.Bytes(), data) {
		t.Errorf("%d bytes came back for %d, and not the same", c.in.Len(), len(data))
	}
}

// exchange sends size bytes there and back.
func exchange(t *testing.T, w *world, size int) {
	t.Helper()
	listen(t, w.hosts[1], 80, echo)
	data := randomBytes(size, 1)
	c := request(t, w.hosts[0], 80, data)
	w.finish()
	c.echoed(t, data)
}

func TestTransfer(t *testing.T) {
	forEachForm(t, func(t *testing.T, form form) {
		for name, loss := range map[string]float64{"clean": 0, "2 % loss": 0.02} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, form, 1, loss)
				defer w.close()
				exchange(t, w, 1<<20)
				if n := w.hosts[0].st.Stats().TCP.Retransmits.Value(); (n > 0) != (loss > 0) {
					t.Errorf("%d retransmissions", n)
				}
			})
		}
	})
}

// TestTurnsOfManyGoroutines has goroutines take turns, as the callers of a host
// do: a Settler is used by one at a time, but not by the same.
func TestTurnsOfManyGoroutines(t *testing.T) {
	forEachForm(t, func(t *testing.T, form form) {
		w := newWorld(t, form, 1, 0.01)
		defer w.close()
		listen(t, w.hosts[1], 80, echo)
		data := randomBytes(1<<20, 1)
		c := request(t, w.hosts[0], 80, data)
		var turn sync.Mutex
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for more := true; more; runtime.Gosched() {
					turn.Lock()
					more = w.step()
					turn.Unlock()
				}
			})
		}
		all.Wait()
		c.echoed(t, data)
	})
}

// TestCloseInFlight ends hosts in the middle of a transfer, at another moment
// each time. That no goroutine is left is checked by TestMain.
func TestCloseInFlight(t *testing.T) {
	forEachForm(t, func(t *testing.T, form form) {
		for i := range 50 {
			w := newWorld(t, form, int64(i), 0)
			listen(t, w.hosts[1], 80, echo)
			c := request(t, w.hosts[0], 80, randomBytes(1<<20, 1))
			for range 10 + 9*i {
				w.step()
			}
			if c.eof || c.in.Len() == 1<<20 {
				t.Fatalf("after %d steps the transfer is through: nothing is in flight", 10+9*i)
			}
			w.close()
		}
	})
}

// TestChurn is about all the ways in which connections end.
func TestChurn(t *testing.T) {
	forEachForm(t, func(t *testing.T, form form) {
		for _, procs := range []int{1, 2} {
			withProcs(t, procs, func(t *testing.T) {
				c := &churn{t: t, w: newWorld(t, form, 1, 0)}
				defer c.w.close()
				c.run()
			})
		}
	})
}
