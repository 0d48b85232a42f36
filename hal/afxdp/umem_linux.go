package afxdp

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// umem is the memory that frames lie in, shared with the kernel: of all queues
// of a device, one part each.
type umem struct {
	mem []byte

	mu   sync.Mutex // guards the following
	out  int        // how many frames are still on loan after end
	over bool       // end was called
}

func newUMEM(size int) (*umem, error) {
	// Populated: the kernel pins every page anyway.
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("memory for frames, %d MiB (use fewer queues or frames=): %w", size>>20, err)
	}
	return &umem{mem: mem}, nil
}

// end gives the memory back, when no socket uses it any more. The out frames that
// are on loan must stay readable, so as long as there are any only the pages are
// given back; the addresses follow with the last loan. A loan that is forgotten
// costs addresses and no memory.
func (u *umem) end(out int) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	if u.out += out; u.out > 0 {
		return unix.Madvise(u.mem, unix.MADV_DONTNEED)
	}
	return u.unmap()
}

// returned notes that a loan has ended, after end or beside it.
func (u *umem) returned() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.out--; u.over && u.out == 0 {
		_ = u.unmap() // addresses only, and nobody to tell
	}
}

func (u *umem) unmap() error {
	err := unix.Munmap(u.mem)
	u.mem = nil
	return err
}
