package afxdp

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Close implements [hal.Device].
func (d *device) Close() error {
	first, err := d.shut()
	if !first {
		return nil
	}
	d.link.close()
	d.tell()
	if err != nil {
		return fmt.Errorf("afxdp: close interface %s: %w", d.name, err)
	}
	return nil
}

// tell wakes whoever sleeps on the device.
func (d *device) tell() {
	for _, q := range d.queues {
		q.rx.Tell()
		q.tx.half.Tell()
	}
}

// shut frees everything in the kernel, and reports whether it was the first to do
// so. The filter goes first, so that the kernel gets the frames from now on.
func (d *device) shut() (first bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false, nil
	}
	d.closed = true
	d.countLost()
	for _, q := range d.queues {
		q.rx.Retire()
		q.tx.half.Retire()
		q.tx.unsent.cancel() // or they would bring back the sleeper, again and again
		q.tx.starved.cancel()
	}
	err = errors.Join(d.program.close(), d.free())
	d.iface.nl.Close()
	return true, err
}

// free closes the sockets, whose rings nobody may touch any more, and gives the
// memory back.
func (d *device) free() (err error) {
	out := 0
	for _, q := range d.queues {
		if fd := q.rx.joined; fd >= 0 {
			err = errors.Join(err, unix.Close(fd))
		}
		err = errors.Join(err, q.sock.close())
		out += q.rx.onLoan() + q.tx.onLoan()
	}
	if d.mem != nil {
		err = errors.Join(err, d.mem.end(out))
	}
	return err
}

func (q *rxQueue) onLoan() int {
	defer q.Unlock()
	q.Lock()
	return q.pool.count()
}

func (q *txQueue) onLoan() int {
	defer q.half.Unlock()
	q.half.Lock()
	return q.pool.count()
}
