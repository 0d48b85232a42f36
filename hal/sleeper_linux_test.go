package hal_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/haltest"
)

// socket is a device over one end of a socket pair: one descriptor for both
// halves, as a TAP has, and full when the other end does not read.
type socket struct {
	mu     sync.RWMutex // write-locked by Close: nobody uses a closed descriptor
	fd     int
	closed bool
	rx     socketRx
	tx     socketTx
	bad    atomic.Uint64
}

// socketHalf is either half. Its bell rings on Close only: the descriptor says
// everything else.
type socketHalf struct {
	bell
	s    *socket
	lent int
}

type (
	socketRx struct{ *socketHalf }
	socketTx struct{ *socketHalf }
)

func socketPair(t *testing.T) (a, b *socket) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b = &socket{fd: fds[0]}, &socket{fd: fds[1]}
	for _, s := range []*socket{a, b} {
		s.rx.socketHalf, s.tx.socketHalf = &socketHalf{s: s}, &socketHalf{s: s}
		t.Cleanup(func() { s.Close() })
	}
	return a, b
}

func (s *socket) Info() hal.Info {
	return hal.Info{Driver: "socket", MAC: hal.MAC{2, 0, 0, 0, 0, 3}, MTU: mtu, Queues: 1, Loans: slots, Headroom: headroom, MaxChain: 1}
}

func (s *socket) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	if s.closed {
		return nil, nil, hal.ErrClosed
	}
	if i != 0 {
		return nil, nil, errors.New("socket: no such queue")
	}
	return &s.rx, &s.tx, nil
}

func (s *socket) Close() error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	if !was {
		syscall.Close(s.fd)
	}
	s.mu.Unlock()
	if !was {
		s.rx.ringIt()
		s.tx.ringIt()
	}
	return nil
}

func (h *socketHalf) FD() int                { return h.s.fd }
func (h *socketHalf) Release(fs []hal.Frame) { h.lent -= len(fs) }
func (h *socketHalf) use(f func() error) error {
	h.s.mu.RLock()
	defer h.s.mu.RUnlock()
	if h.s.closed {
		return hal.ErrClosed
	}
	return f()
}

func (q *socketRx) Rx(fs []hal.Frame) (n int, err error) {
	err = q.use(func() error {
		if len(fs) == 0 {
			return hal.ErrShortBurst
		}
		for n < len(fs) && q.lent < slots {
			buf := make([]byte, packetMax)
			size, err := syscall.Read(q.s.fd, buf)
			if err != nil || size == 0 {
				return nil // EAGAIN, or the other end is gone
			}
			fs[n] = hal.NewFrame(buf, 0, size, 0)
			n++
			q.lent++
		}
		return nil
	})
	return n, err
}

func (q *socketTx) Alloc(fs []hal.Frame, size int) (n int, err error) {
	err = q.use(func() error {
		if size > packetMax {
			return hal.ErrTooLong
		}
		if q.lent < slots {
			fs[0] = hal.NewFrame(make([]byte, headroom+size), headroom, size, 0)
			q.lent++
			n = 1
		}
		return nil
	})
	return n, err
}

func (q *socketTx) Tx(fs []hal.Frame) (n int, err error) {
	err = q.use(func() error {
		for ; n < len(fs); n++ {
			if p := fs[n].Data; fs[n].Meta != (hal.Meta{}) || len(p) < hal.EthernetHeaderLen || len(p) > packetMax {
				q.s.bad.Add(1)
			} else if _, err := syscall.Write(q.s.fd, p); err == syscall.EAGAIN {
				return nil
			}
			q.lent--
		}
		return nil
	})
	return n, err
}

func (q *socketTx) Flush() error { return q.use(func() error { return nil }) }

// The whole contract over descriptors: this is the test of the epoll sleeper.
func TestSocketDriver(t *testing.T) {
	haltest.Run(t, func(t *testing.T) haltest.Link {
		a, b := socketPair(t)
		return haltest.Link{Dev: a, Far: haltest.FarDevice(t, b)}
	})
}

// moderated is a socket whose receive half asks for a time between wake-ups.
type moderated struct {
	*socket
	rx moderatedRx
}

type moderatedRx struct {
	*socketRx
	gap time.Duration
}

func (q *moderatedRx) Moderation() time.Duration { return q.gap }

func (m *moderated) Queue(i int) (hal.RxQueue, hal.TxQueue, error) {
	_, tx, err := m.socket.Queue(i)
	return &m.rx, tx, err
}

// A sleeper that naps, or never sleeps, keeps the contract.
func TestModeratedDriver(t *testing.T) {
	for name, gap := range map[string]time.Duration{"nap": 100 * time.Microsecond, "spin": -1} {
		t.Run(name, func(t *testing.T) {
			haltest.Run(t, func(t *testing.T) haltest.Link {
				a, b := socketPair(t)
				return haltest.Link{Dev: &moderated{a, moderatedRx{&a.rx, gap}}, Far: haltest.FarDevice(t, b)}
			})
		})
	}
}

// Who spins is never put to sleep, and hears of Close.
func TestSpinningSleeper(t *testing.T) {
	a, _ := socketPair(t)
	s, err := hal.NewSleeper(&moderated{a, moderatedRx{&a.rx, -1}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 100 {
		ends(t, s, nil) // nothing has arrived
	}
	s.Close()
	ends(t, s, hal.ErrClosed)
}

// drain reads all that has arrived.
func drain(s *socket) {
	for {
		if n, err := syscall.Read(s.fd, make([]byte, 100)); err != nil || n == 0 {
			return
		}
	}
}

// sleeps expects Wait to sleep until its deadline.
func sleeps(t *testing.T, s hal.Sleeper) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Millisecond)
	if err := s.Wait(deadline); err != nil {
		t.Fatal(err)
	}
	if time.Now().Before(deadline) {
		t.Fatal("Wait returned before its deadline, for no reason")
	}
}

func TestEpollSleeper(t *testing.T) {
	packet := make([]byte, 60)
	t.Run("level", func(t *testing.T) {
		a, b := socketPair(t)
		s := newSleeper(t, a)
		sleeps(t, s)
		// A deadline is over with its Wait. Too slow a machine cannot fail this.
		done := waiting(s)
		select {
		case <-done:
			t.Fatal("Wait without a deadline returned for no reason")
		case <-time.After(5 * time.Millisecond):
		}
		syscall.Write(b.fd, packet)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for range 3 {
			syscall.Write(b.fd, packet)
			ends(t, s, nil)
			ends(t, s, nil) // unread is still news
			drain(a)
			sleeps(t, s)
		}
	})
	t.Run("wake", func(t *testing.T) {
		a, _ := socketPair(t)
		s := newSleeper(t, a)
		s.Wake()
		s.Wake()
		ends(t, s, nil)
		sleeps(t, s)
		s.Wake()
		ends(t, s, nil)
	})
	t.Run("writable", func(t *testing.T) {
		a, b := socketPair(t)
		s := newSleeper(t, a)
		sleeps(t, s)
		s.SetWritable(true)
		ends(t, s, nil) // the note of the switch
		ends(t, s, nil) // it is writable
		for err := error(nil); err == nil; {
			_, err = syscall.Write(a.fd, packet)
		}
		sleeps(t, s)
		done := waiting(s)
		for err := error(nil); err == nil; {
			_, err = syscall.Read(b.fd, packet)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.SetWritable(false)
		sleeps(t, s)
	})
	t.Run("descriptors and functions", func(t *testing.T) {
		a, peer := socketPair(t)
		b, rx, tx := notifying()
		s := newSleeper(t, a, b)
		sleeps(t, s)
		rx.ringIt()
		ends(t, s, nil)
		syscall.Write(peer.fd, packet)
		ends(t, s, nil)
		syscall.Read(a.fd, make([]byte, 100))
		tx.ringIt()
		sleeps(t, s)
	})
	t.Run("close", func(t *testing.T) {
		a, _ := socketPair(t)
		s := newSleeper(t, a)
		done := waiting(s)
		s.Close()
		select {
		case err := <-done:
			if !errors.Is(err, hal.ErrClosed) {
				t.Fatalf("Wait returned %v", err)
			}
		case <-time.After(guard):
			t.Fatal("Close does not end Wait")
		}
		s.Close()
		s.Wake()
		s.SetWritable(true)
		ends(t, s, hal.ErrClosed)
	})
}

// Wakes, deadlines and arrivals at once: whatever ends a Wait, what came before
// it is seen after it, and nobody sleeps for ever.
func TestEpollSleeperRaces(t *testing.T) {
	const n = 20000
	a, b := socketPair(t)
	s := newSleeper(t, a)
	var woken, written atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for range n {
			woken.Add(1)
			s.Wake()
		}
	})
	wg.Go(func() {
		for i := 0; i < n; {
			if _, err := syscall.Write(b.fd, []byte{1}); err == nil {
				written.Add(1)
				i++
			} else {
				time.Sleep(time.Microsecond)
			}
		}
	})
	done := make(chan error, 1)
	go func() {
		buf, got := make([]byte, 8), int64(0)
		for seen := int64(0); seen < n || got < n; {
			if err := s.Wait(time.Time{}); err != nil {
				done <- err
				return
			}
			seen = woken.Load()
			for {
				if k, err := syscall.Read(a.fd, buf); err != nil || k == 0 {
					break
				}
				got++
			}
		}
		done <- nil
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(guard):
		t.Fatalf("asleep after %d of %d wakes and %d of %d packets", woken.Load(), n, written.Load(), n)
	}
	wg.Wait()
}
