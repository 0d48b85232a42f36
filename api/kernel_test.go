package api_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"sync"
	"syscall"

	"github.com/ringtail-net/ringtail/api"
)

// A kernelHost is a transport over Go's net package: a throwaway, which shows
// that ops can be executed by the operating system's own sockets. Socket and
// bind of streams are only noted, and executed at listen or connect.
type kernelHost struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // also held while ops are completed
	closed bool
	next   uint64
	socks  map[*kernelSock]struct{}
}

func newKernel() *kernelHost {
	k := &kernelHost{socks: map[*kernelSock]struct{}{}}
	k.ctx, k.cancel = context.WithCancelCause(context.Background())
	return k
}

func (k *kernelHost) Submit(op *api.Op) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, _ := op.Sock.(*kernelSock)
	if k.closed || s != nil && s.closed {
		op.Err = net.ErrClosed
		op.Complete()
		return
	}
	switch op.Kind {
	case api.KindSocket:
		op.NewSock = k.sock(op.Network)
		op.Complete()
	case api.KindRead, api.KindAccept:
		s.queue(&s.rd, op)
	case api.KindWrite, api.KindConnect:
		s.queue(&s.wr, op)
	default:
		op.Err = leaf(s.simple(op))
		op.Complete()
	}
}

func (k *kernelHost) sock(n api.Network) *kernelSock {
	k.next++
	s := &kernelSock{host: k, num: k.next, network: n, opts: map[reflect.Type]api.Option{}}
	if n.Stream() {
		s.opts[reflect.TypeFor[api.NoDelay]()] = api.NoDelay(true)
		s.opts[reflect.TypeFor[api.KeepAlive]()] = defaultKeepAlive
		s.opts[reflect.TypeFor[api.Linger]()] = api.Linger(-1)
	}
	k.socks[s] = struct{}{}
	return s
}

func addrPort(a net.Addr) netip.AddrPort {
	v, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok || reflect.ValueOf(a).IsNil() {
		return netip.AddrPort{}
	}
	ap := v.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func (k *kernelHost) Cancel(t api.Ticket, cause error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	op := t.Op()
	if op == nil {
		return
	}
	s, ok := op.Sock.(*kernelSock)
	if !ok {
		return
	}
	for _, l := range []*lane{&s.rd, &s.wr} {
		i := slices.Index(l.ops, op)
		switch {
		case i == 0:
			l.cause = cause
			if l.cancel != nil {
				l.cancel()
			}
		case i > 0:
			l.ops = slices.Delete(l.ops, i, i+1)
			op.Err = cause
			op.Complete()
		}
	}
}

func (k *kernelHost) Close() error {
	k.mu.Lock()
	k.closed = true
	k.cancel(net.ErrClosed)
	for len(k.socks) > 0 {
		for s := range k.socks {
			s.close()
		}
	}
	k.mu.Unlock()
	k.wg.Wait()
	return nil
}

// leaf finds the errno in an error of package net.
func leaf(err error) error {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	}
	return err
}
