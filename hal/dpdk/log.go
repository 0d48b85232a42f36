//go:build dpdk && cgo && linux

package dpdk

// #include "shim.h"
import "C"

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// logbook gets what DPDK writes: lines with their level, through a pipe that does
// not block its writers. It keeps the last few for errors, and hands all on to the
// loggers of open ports. It lives as long as the process.
type logbook struct {
	w     int           // the end that DPDK writes to; 0: not open
	marks chan struct{} // a line of our own was read

	mu      sync.Mutex
	lines   []string // the last ones that complain
	loggers []*slog.Logger
}

// keptLines is how many complaints an error quotes.
const keptLines = 4

// open makes the pipe, once.
func (l *logbook) open() error {
	if l.w > 0 {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("a pipe for DPDK's log: %w", err)
	}
	defer w.Close()
	fd, err := unix.FcntlInt(w.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		err = failure(C.rt_eal_log_to(C.int(fd)))
	}
	if err != nil {
		r.Close()
		return fmt.Errorf("DPDK's log: %w", err)
	}
	l.w, l.marks = fd, make(chan struct{}, 1)
	go l.read(r)
	return nil
}

func (l *logbook) read(r *os.File) {
	for s := bufio.NewScanner(r); s.Scan(); {
		switch line := s.Text(); {
		case line == mark:
			l.marks <- struct{}{}
		case len(line) > 1:
			l.add(int(line[0]-'0'), line[1:])
		}
	}
}

// slogLevel translates DPDK's levels, of which 1 is an emergency, 4 an error. Lines
// without one did not come through DPDK's log.
func slogLevel(level int) slog.Level {
	switch {
	case level <= 0:
		return slog.LevelInfo
	case level <= 4:
		return slog.LevelError
	case level == 5:
		return slog.LevelWarn
	case level <= 7:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (l *logbook) add(level int, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if level > 0 && level <= 5 {
		l.lines = append(l.lines, line)
		l.lines = l.lines[max(0, len(l.lines)-keptLines):]
	}
	for _, to := range l.loggers {
		to.Log(context.Background(), slogLevel(level), line)
	}
}

// mark is a line of our own: what was written before it has been read with it.
const mark = "-"

// sync waits until everything that was written has been read. The caller holds
// eal's lock.
func (l *logbook) sync() {
	if _, err := unix.Write(l.w, []byte(mark+"\n")); err == nil { // else it is full: a line more or less
		<-l.marks
	}
}

// forget drops the complaints so far: an error is about what comes.
func (l *logbook) forget() {
	l.sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = nil
}

// said returns the complaints since forget, for the text of an error: "" or ": …".
func (l *logbook) said() string {
	l.sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == 0 {
		return ""
	}
	return ": " + strings.Join(l.lines, "; ")
}

// tell adds a logger, if there is one, and returns what takes it away.
func (l *logbook) tell(to *slog.Logger) (stop func()) {
	if to == nil {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loggers = append(l.loggers, to)
	return func() {
		l.sync()
		l.mu.Lock()
		defer l.mu.Unlock()
		if i := slices.Index(l.loggers, to); i >= 0 {
			l.loggers = slices.Delete(l.loggers, i, i+1)
		}
	}
}
