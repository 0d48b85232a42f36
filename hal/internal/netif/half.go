package netif

import (
	"sync"
	"sync/atomic"
)

// Half is what both halves of a queue have: the descriptor, which they share,
// and the lock that keeps Close from closing it under a system call, after which
// its number may mean another file. The lock is held through a burst, which
// never blocks, and nobody but Close contends for it: that costs some 10 ns a
// burst, against 300 ns for the cheapest system call.
//
// It implements Pollable and Notifier of package hal.
type Half struct {
	notify atomic.Pointer[func()]

	mu sync.Mutex
	fd int // -1 after Retire
}

// Open sets the descriptor, before anybody uses the half.
func (h *Half) Open(fd int) { h.fd = fd }

// Lock takes the descriptor, which stays open until Unlock. It is -1 if the
// half is closed; Unlock has to follow even then.
func (h *Half) Lock() int {
	h.mu.Lock()
	return h.fd
}

// Unlock ends what Lock began.
func (h *Half) Unlock() { h.mu.Unlock() }

// FD implements [hal.Pollable].
func (h *Half) FD() int {
	defer h.Unlock()
	return h.Lock()
}

// Closed reports whether Retire was called.
func (h *Half) Closed() bool { return h.FD() < 0 }

// Notify implements [hal.Notifier]: the descriptor tells everything but Close.
func (h *Half) Notify(f func()) {
	if f == nil {
		h.notify.Store(nil)
		return
	}
	h.notify.Store(&f)
}

// Retire takes the descriptor away, when nobody uses it, and returns it to be
// closed.
func (h *Half) Retire() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	fd := h.fd
	h.fd = -1
	return fd
}

// Tell calls the function that Notify was given: on Close, after Retire.
func (h *Half) Tell() {
	if f := h.notify.Load(); f != nil {
		(*f)()
	}
}
