package wrap

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// ErrBehind ends a capture whose reader does not keep up.
var ErrBehind = errors.New("wrap: the reader of the capture is too slow")

// spoolSize is how far behind the reader of a pipe may be, in bytes.
const spoolSize = 8 << 20

// spoolWait is how long Close waits for the reader of a pipe.
const spoolWait = time.Second

// OpenPcap opens the place for a capture: a file, which it creates or empties, a
// FIFO, or the standard output if path is "-".
//
// Writing to it does not wait for a reader: what goes to anything but a plain
// file is first kept in memory, up to 8 MiB, and written by a goroutine that
// Close ends. A reader that is further behind gets ErrBehind as the end of its
// capture; one that goes away ends the capture, not the program. Close gives the
// reader another second to take what there is.
//
// To open a FIFO waits until somebody reads from it.
func OpenPcap(path string) (io.WriteCloser, error) {
	file, err := openPath(path)
	if err != nil {
		return nil, fmt.Errorf("open the capture: %w", err)
	}
	if st, err := file.Stat(); err == nil && st.Mode().IsRegular() {
		return file, nil
	}
	return newSpool(file), nil
}

func openPath(path string) (*os.File, error) {
	if path == "-" {
		return openStdout()
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
}

// A spool is a writer that never waits.
type spool struct {
	w    io.WriteCloser
	wake chan struct{} // has room for one
	done chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex // guards the following
	buf    []byte
	err    error
	closed bool
}

func newSpool(w io.WriteCloser) *spool {
	s := &spool{w: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.run()
	return s
}

// Write keeps p.
func (s *spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return 0, s.err
	case s.closed:
		return 0, os.ErrClosed
	case len(s.buf)+len(p) > spoolSize:
		s.err = ErrBehind
		return 0, s.err
	}
	s.buf = append(s.buf, p...)
	s.signal()
	return len(p), nil
}

func (s *spool) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run writes until Close, or the first error.
func (s *spool) run() {
	defer close(s.done)
	var out []byte
	for {
		s.mu.Lock()
		out, s.buf = s.buf, out[:0]
		end := s.closed && len(out) == 0
		s.mu.Unlock()
		switch {
		case end:
			return
		case len(out) == 0:
			<-s.wake
		default:
			if _, err := s.w.Write(out); err != nil {
				s.fail(err)
				return
			}
		}
	}
}

func (s *spool) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.buf = nil
}

// Close waits a while until everything is written, and closes what is below.
func (s *spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.signal()
	s.mu.Unlock()
	select {
	case <-s.done:
	case <-time.After(spoolWait): // closing it ends the Write
	}
	err := s.w.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.err, err)
}
