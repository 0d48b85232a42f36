package main

import (
	"container/list"
	"context"
	"errors"
	"net/netip"

	"github.com/ringtail-net/ringtail/api"
)

// depth is how many datagrams may be under way to the server.
const depth = 64

// A relay is the state of one goroutine; nothing in it is locked.
type relay struct {
	lib    *api.LibOS
	server netip.AddrPort
	most   int // clients

	front   api.QD // where clients send to
	clients map[netip.AddrPort]*client
	backs   map[api.QD]*client
	recent  *list.List // of *client, the one that sent last in front

	// answers are the clients whose answers are being pushed to them. Pushes
	// on one queue complete in order, so the first is the next to complete.
	answers []*client
}

// A client has a queue of its own, connected to the server.
type client struct {
	addr netip.AddrPort
	back api.QD
	seat *list.Element // in relay.recent
}

func newRelay(lib *api.LibOS, server netip.AddrPort, most int) *relay {
	return &relay{
		lib: lib, server: server, most: most,
		clients: map[netip.AddrPort]*client{}, backs: map[api.QD]*client{}, recent: list.New(),
	}
}

// open binds the front and begins its pops. One that waits holds no memory.
func (r *relay) open(addr netip.AddrPort) (err error) {
	if r.front, err = r.lib.Socket(api.UDP); err != nil {
		return err
	}
	if err := r.lib.Bind(r.front, addr); err != nil {
		return err
	}
	for range depth {
		if _, err := r.lib.Pop(r.front); err != nil {
			return err
		}
	}
	return nil
}

// serve relays until ctx ends. That the network refuses a datagram is in its
// completion, and nothing follows from it; an op that could not even begin ends
// the relay.
func (r *relay) serve(ctx context.Context) error {
	for c, err := range r.lib.Completions(ctx) {
		switch {
		case err != nil:
		case c.Op == api.OpPop && c.QD == r.front:
			err = r.toServer(ctx, c)
		case c.Op == api.OpPop:
			err = r.toClient(c)
		case c.QD == r.front:
			c.SGA.Free()
			err = r.answered()
		default: // a push to the server: its place is free
			c.SGA.Free()
			_, err = r.lib.Pop(r.front)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// toServer passes on a datagram of a client.
func (r *relay) toServer(ctx context.Context, c api.Completion) error {
	if c.Err != nil {
		_, err := r.lib.Pop(r.front)
		return err
	}
	from, err := r.client(ctx, c.From)
	if ctx.Err() != nil {
		return err
	}
	if err != nil { // no descriptor, no port, no route: this datagram is lost
		c.SGA.Free()
		_, err := r.lib.Pop(r.front)
		return err
	}
	_, err = r.lib.Push(from.back, c.SGA)
	return err
}

// toClient passes on an answer.
func (r *relay) toClient(c api.Completion) error {
	to := r.backs[c.QD]
	switch {
	case to == nil: // forgotten meanwhile
		c.SGA.Free()
		return nil
	case c.Err != nil: // such as: nobody listens at the server's port
		_, err := r.lib.Pop(to.back)
		return err
	}
	r.answers = append(r.answers, to)
	_, err := r.lib.PushTo(r.front, c.SGA, to.addr)
	return err
}

// answered takes note that an answer has left. The client may have the next.
func (r *relay) answered() error {
	to := r.answers[0]
	r.answers = r.answers[1:]
	if r.backs[to.back] != to {
		return nil
	}
	_, err := r.lib.Pop(to.back)
	return err
}

// client returns the client at addr, who may be new.
func (r *relay) client(ctx context.Context, addr netip.AddrPort) (*client, error) {
	if c := r.clients[addr]; c != nil {
		r.recent.MoveToFront(c.seat)
		return c, nil
	}
	if len(r.clients) == r.most {
		r.forget(r.recent.Back().Value.(*client))
	}
	back, err := r.lib.Socket(api.UDP)
	if err != nil {
		return nil, err
	}
	connect, err := r.lib.Connect(back, r.server)
	if err != nil {
		r.lib.Close(back)
		return nil, err
	}
	// A datagram socket's connect sends nothing: it is no wait for the network.
	if c, err := r.lib.Wait(ctx, connect); err != nil || c.Err != nil {
		r.lib.Close(back)
		return nil, errors.Join(err, c.Err)
	}
	c := &client{addr: addr, back: back}
	c.seat = r.recent.PushFront(c)
	r.clients[addr], r.backs[back] = c, c
	_, err = r.lib.Pop(back)
	return c, err
}

// forget makes room for another client.
func (r *relay) forget(c *client) {
	r.lib.Close(c.back)
	r.recent.Remove(c.seat)
	delete(r.clients, c.addr)
	delete(r.backs, c.back)
}
