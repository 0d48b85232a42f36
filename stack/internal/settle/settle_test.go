package settle

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// awaitProcessors waits until gVisor's processors have want goroutines. Waiting
// does not hide any: a goroutine that has said that it is done still exists for
// a moment, and one that nobody ends is there for ever.
func awaitProcessors(want int) error {
	buf := make([]byte, 1<<20)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		n := strings.Count(string(buf[:runtime.Stack(buf, true)]), "created by "+module+"/pkg/tcpip/transport/tcp.(*dispatcher).startLocked")
		if n == want {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("gVisor's processors have %d goroutines, want %d", n, want)
		}
	}
}

func TestGoroutines(t *testing.T) {
	withProcs(t, 4, func(t *testing.T) {
		for _, c := range []struct {
			form form
			want int
		}{{forms[0], 0}, {forms[1], 4}} {
			st := newStack(tcp.NewProtocol, stack.Options{})
			if err := awaitProcessors(4); err != nil {
				t.Fatalf("a new stack: %v", err)
			}
			s, err := c.form.make(st)
			if err != nil {
				t.Fatal(err)
			}
			if err := awaitProcessors(c.want); err != nil {
				t.Errorf("%s: %v", c.form.name, err)
			}
			s.Settle()
			s.Close()
			st.Close()
			st.Wait()
			if err := awaitProcessors(0); err != nil {
				t.Errorf("%s: after Close and Wait: %v", c.form.name, err)
			}
		}
	})
}

func TestName(t *testing.T) {
	forEachForm(t, func(t *testing.T, form form) {
		w := newWorld(t, form, 1, 0)
		defer w.close()
		if got := w.hosts[0].settler.Name(); got != form.name {
			t.Errorf("Name is %q", got)
		}
	})
}

// TestHeldEndpoint lets a segment arrive while a call of the application holds
// the endpoint. gVisor leaves it to UnlockUser then, and UnlockUser leaves it to
// a processor: without a Settle at the end of the call it would lie there until
// the next segment.
func TestHeldEndpoint(t *testing.T) {
	forEachForm(t, func(t *testing.T, form form) {
		w := newWorld(t, form, 1, 0)
		defer w.close()
		client, server := w.hosts[0], w.hosts[1]
		var accepted *conn
		listen(t, server, 80, func(c *conn) { accepted = c })
		c := dial(t, client, 80, nop)
		w.finish()
		if accepted == nil {
			t.Fatal("the connection was not accepted")
		}
		ep := c.ep.(*tcp.Endpoint)
		readable := func() bool { return ep.Readiness(waiter.ReadableEvents) != 0 }

		ep.LockUser()
		server.enter(func() {
			accepted.out = []byte("x")
			accepted.write()
		})
		if !w.step() {
			t.Fatal("the server has sent nothing")
		}
		if readable() {
			t.Fatal("the segment was processed under the lock: this test does not see what it is about")
		}
		ep.UnlockUser()
		if readable() {
			t.Fatal("UnlockUser has processed the segment: Settle has nothing to do here any more")
		}
		client.enter(func() {})
		if got := c.in.String(); got != "x" {
			t.Errorf("after Settle the application has read %q, want x", got)
		}
	})
}
