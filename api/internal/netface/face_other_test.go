//go:build !linux

package netface

import (
	"errors"
	"net"
	"net/netip"
)

func (p packageNet) listen(network, address string, _ int) (ln net.Listener, err error) {
	err = p.do(func() (err error) { ln, err = net.Listen(network, address); return err })
	return ln, err
}

func (p packageNet) join(net.PacketConn, netip.Addr, netip.Addr) error { return errors.ErrUnsupported }

func (p packageNet) leave(net.PacketConn, netip.Addr, netip.Addr) error { return errors.ErrUnsupported }
