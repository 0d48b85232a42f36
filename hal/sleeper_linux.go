package hal

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const canPoll = true

func newSleeper(h halves) (Sleeper, error) {
	if len(h.fds) == 0 {
		return newChannelSleeper(h), nil
	}
	return newEpollSleeper(h)
}

// epollSleeper waits for descriptors, and for Wake. Its own epoll instance holds
// the devices' descriptors; it is itself a file in Go's poller, so that a Wait
// parks a goroutine and no thread.
//
// No event of a descriptor is lost, because everything is level-triggered where
// it counts. Go's poller hears edges of our epoll instance, but forgets them at
// the start of a read (conn.Read), then asks the instance (epoll_wait with no
// timeout, which answers by level) and only then parks; an edge after the
// question is kept and ends the parking. After epoll_wait has answered "nothing"
// the instance's ready list is empty, so that the next event is an edge again.
// The kernel may answer "nothing" wrongly while another thread scans the
// instance; the only other one is Go's poller, which does that because it has
// an edge to report: to us, after it was forgotten, so it ends the parking too.
//
// No Wake is lost: Wait says that it is armed and then looks at woken; Wake says
// woken and then looks at armed. Atomics are totally ordered, so at least one
// sees the other. If Wait does, it does not park. If Wake does, it moves the
// read deadline into the past, which is after Wait has set its own, and that
// ends a read which has begun and one which is about to (at less cost than an
// eventfd: no descriptor, no thread to be woken from epoll_wait). A Wake that was
// slow may hit a later Wait than the one it saw: that ends early, which is
// allowed, and the next one sets its own deadline again. If woken is set already,
// the Wake that set it does all this, or a Wait has yet to look at it.
//
// No writability is lost: EPOLL_CTL_MOD looks at the descriptor and makes it
// ready, with an edge, if it is writable now. For halves that are told by
// function see chanSleeper.SetWritable.
type epollSleeper struct {
	halves
	file  *os.File        // the epoll instance; only Wait reads it, so its read lock is free
	conn  syscall.RawConn // of file
	ready func(fd uintptr) bool

	armed, woken, closed atomic.Bool

	mu sync.Mutex // serialises changes of the interest in descriptors
}

func newEpollSleeper(h halves) (Sleeper, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("hal: epoll_create1: %w", err)
	}
	// os.NewFile takes a descriptor into Go's poller if it does not block.
	err = syscall.SetNonblock(fd, true)
	h.writable = new(atomic.Bool)
	s := &epollSleeper{halves: h, file: os.NewFile(uintptr(fd), "epoll"), ready: anyReady}
	if err == nil {
		s.conn, err = s.file.SyscallConn()
	}
	if err == nil {
		err = s.file.SetReadDeadline(time.Time{}) // fails if it is not in the poller
	}
	if err == nil {
		err = s.control(syscall.EPOLL_CTL_ADD, false)
	}
	if err != nil {
		s.file.Close()
		return nil, fmt.Errorf("hal: wait for the devices' descriptors: %w", err)
	}
	s.listen(s.Wake)
	return s, nil
}

// anyReady asks an epoll instance whether a descriptor is ready.
func anyReady(fd uintptr) bool {
	var events [1]syscall.EpollEvent
	n, err := syscall.EpollWait(int(fd), events[:], 0)
	return n > 0 || err != nil // whatever is wrong, the caller looks
}

// edgeOnly asks for nothing. The kernel reports errors and hang-ups unasked;
// so it does that once, and not for ever.
const edgeOnly = 1 << 31 // EPOLLET, which package syscall has as a negative number

// control tells the kernel which events count. It only ever modifies what was
// added at the start: a device that was closed has left the instance by itself,
// and its descriptor's number may be somebody else's now.
func (s *epollSleeper) control(op int, writable bool) error {
	var errs error
	for fd, use := range s.fds {
		var events uint32
		if use.rx {
			events |= syscall.EPOLLIN
		}
		if use.tx && writable {
			events |= syscall.EPOLLOUT
		}
		if events == 0 {
			events = edgeOnly
		}
		ctlErr := error(nil)
		err := s.conn.Control(func(ep uintptr) {
			ctlErr = syscall.EpollCtl(int(ep), op, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
		})
		errs = errors.Join(errs, err, ctlErr)
	}
	return errs
}

func (s *epollSleeper) Wake() {
	if !s.woken.Swap(true) && s.armed.Load() {
		s.file.SetReadDeadline(past) // fails only after Close, which wakes by itself
	}
}

func (s *epollSleeper) SetWritable(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() || s.writable.Swap(on) == on {
		return
	}
	// It can fail only for descriptors of devices that were closed.
	_ = s.control(syscall.EPOLL_CTL_MOD, on)
	if on && (s.txPolled || len(s.txTells) > 0) {
		s.Wake()
	}
}

func (s *epollSleeper) Wait(deadline time.Time) error {
	if s.pace.spins() {
		return s.yield()
	}
	until := s.until(deadline)
	err := s.file.SetReadDeadline(until)
	s.armed.Store(true)
	if err == nil && !s.woken.Load() {
		s.pace.hold(until, pause)
		err = s.conn.Read(s.ready)
		s.pace.woke()
	}
	s.armed.Store(false)
	if s.woken.Swap(false) {
		s.nap = 0
	}
	switch {
	case s.closed.Load():
		return ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	}
	return err
}

// yield is Wait for halves that do not want anybody to sleep.
func (s *epollSleeper) yield() error {
	s.woken.Store(false)
	if s.closed.Load() {
		return ErrClosed
	}
	runtime.Gosched()
	return nil
}

// pause sleeps for less than the runtime's timers can: in an idle process those
// are good to a millisecond. It costs a thread, and nothing ends it.
func pause(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // a signal may cut it short, which is harmless
}

func (s *epollSleeper) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.leave()
	return s.file.Close() // ends a read that is under way
}
