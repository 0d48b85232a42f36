package rawbench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// burst is how many frames a loop moves at a time: as many as a host does.
const burst = 64

// ErrSilence is returned by a receiver to whom nothing was sent.
var ErrSilence = errors.New("rawbench: no frame arrived")

// patience is how long a receiver waits for its first frame.
const patience = 10 * time.Second

// Send sends frames on the first queue of dev, as fast as it takes them, for a
// time or until ctx ends. It writes every frame anew, as whoever sends does.
// Nothing is ours meanwhile: what arrives would end every wait.
func Send(ctx context.Context, dev hal.Device, frame []byte, d time.Duration) (Result, error) {
	if err := hal.SetLocal(dev, hal.Local{}); err != nil {
		return Result{}, err
	}
	_, tx, err := dev.Queue(0)
	if err != nil {
		return Result{}, err
	}
	sleeper, err := hal.NewSleeper(dev)
	if err != nil {
		return Result{}, err
	}
	defer sleeper.Close()
	defer context.AfterFunc(ctx, sleeper.Wake)()
	s := sender{tx: tx, frame: frame, fs: make([]hal.Frame, burst+dev.Info().MaxChain)}
	defer func() { tx.Release(s.fs[:s.have]) }()
	watch := start()
	for end := watch.begin.Add(d); ctx.Err() == nil && time.Now().Before(end); {
		progress, err := s.turn()
		if err != nil {
			return Result{}, err
		}
		sleeper.SetWritable(!progress)
		if !progress {
			if err := sleeper.Wait(end); err != nil {
				return Result{}, err
			}
		}
	}
	return watch.stop(s.sent), nil
}

// A sender keeps what the device has not taken.
type sender struct {
	tx    hal.TxQueue
	frame []byte
	fs    []hal.Frame
	have  int // frames at the start of fs that are written and not taken
	sent  uint64
}

// turn offers a burst, and says whether the device took any of it.
func (s *sender) turn() (progress bool, err error) {
	for s.have < burst {
		n, err := s.tx.Alloc(s.fs[s.have:], len(s.frame))
		if err != nil {
			return false, err
		}
		if n == 0 {
			break
		}
		rest := s.frame
		for i := s.have; i < s.have+n; i++ {
			rest = rest[copy(s.fs[i].Data, rest):]
		}
		s.have += n
	}
	n, err := s.tx.Tx(s.fs[:s.have])
	for _, f := range s.fs[:n] {
		if !f.More {
			s.sent++
		}
	}
	s.have = copy(s.fs, s.fs[n:s.have])
	return n > 0, errors.Join(err, s.tx.Flush())
}

// Receive takes frames to [Addr] from all queues of dev, since one flow may come by
// any, for a time from the first frame on, or until ctx ends. It gives frames back
// unread.
func Receive(ctx context.Context, dev hal.Device, d time.Duration) (Result, error) {
	if err := hal.SetLocal(dev, hal.Local{Addrs: []netip.Addr{netip.AddrFrom4(Addr)}}); err != nil {
		return Result{}, err
	}
	r := receiver{fs: make([]hal.Frame, burst+dev.Info().MaxChain)}
	for i := range dev.Info().Queues {
		rx, _, err := dev.Queue(i)
		if err != nil {
			return Result{}, err
		}
		r.rx = append(r.rx, rx)
	}
	sleeper, err := hal.NewSleeper(dev)
	if err != nil {
		return Result{}, err
	}
	defer sleeper.Close()
	defer context.AfterFunc(ctx, sleeper.Wake)()
	watch, end := stopwatch{}, time.Now().Add(patience)
	for ctx.Err() == nil && time.Now().Before(end) {
		none := r.frames == 0
		progress, err := r.turn()
		if err != nil {
			return Result{}, err
		}
		if none && r.frames > 0 { // the rest of its burst came at no cost
			r.frames, watch = 1, start()
			end = watch.begin.Add(d)
		}
		if !progress {
			if err := sleeper.Wait(end); err != nil {
				return Result{}, err
			}
		}
	}
	if r.frames == 0 {
		return Result{}, fmt.Errorf("%w within %v", ErrSilence, patience)
	}
	return watch.stop(r.frames), nil
}

// A receiver counts what is ours.
type receiver struct {
	rx     []hal.RxQueue
	fs     []hal.Frame
	frames uint64
}

// turn takes a burst from every queue, and says whether any had one.
func (r *receiver) turn() (progress bool, err error) {
	for _, rx := range r.rx {
		n, err := rx.Rx(r.fs)
		if err != nil {
			return false, err
		}
		for i := 0; i < n; i += hal.ChainLen(r.fs[i:n]) {
			if ours(r.fs[i].Data) {
				r.frames++
			}
		}
		rx.Release(r.fs[:n])
		progress = progress || n > 0
	}
	return progress, nil
}

// ours tells a frame, by its first piece, from the noise of a real link.
func ours(data []byte) bool {
	const src = hal.EthernetHeaderLen + 12
	return len(data) >= minFrame && data[12] == 0x08 && data[src] == 198 && data[src+1] == 18
}
