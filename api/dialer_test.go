package api_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// A scribe is a transport that notes what is asked of it, and lacks an option.
type scribe struct {
	stub
	mu    sync.Mutex
	notes []string
}

func (s *scribe) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func (s *scribe) Submit(op *api.Op) {
	switch op.Kind {
	case api.KindOption:
		s.note("%T(%v)", op.Opt, op.Opt)
		if op.Opt == api.TTL(0) {
			op.Err = syscall.EINVAL
		}
	case api.KindBind, api.KindConnect:
		s.note("%v %v", op.Kind, op.Addr)
	default:
		s.note("%v", op.Kind)
	}
	s.stub.Submit(op)
}

// taken returns the notes, which begin anew.
func (s *scribe) taken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.Join(s.notes, "; ")
	s.notes = nil
	return text
}

// What a dialer is told happens in an order: options and Control before the
// socket is bound and connected.
func TestDialerOrder(t *testing.T) {
	s := new(scribe)
	l := api.New(s, api.Config{})
	defer l.Exit()
	d := api.Dialer{
		Net: l.Net(), LocalAddr: netip.MustParseAddrPort("10.0.0.9:0"),
		KeepAlive: -1,
		Options:   []api.Option{api.ReadBuffer(1000), api.TTL(7)},
		Control: func(_ context.Context, network, address string, set func(api.Option) error) error {
			s.note("control %s %s", network, address)
			return set(api.NoDelay(false))
		},
	}
	must1(d.Dial("tcp", "10.0.0.1:80"))
	want := "socket; api.ReadBuffer(1000); api.TTL(7); control tcp4 10.0.0.1:80; api.NoDelay(false); bind 10.0.0.9:0; connect 10.0.0.1:80"
	if got := s.taken(); got != want {
		t.Errorf("dialling TCP:\n got %s\nwant %s", got, want)
	}
	d.LocalAddr = netip.AddrPort{}
	must1(d.Dial("udp", "[fd00::1]:80"))
	want = "socket; api.Broadcast(true); api.ReadBuffer(1000); api.TTL(7); control udp6 [fd00::1]:80; api.NoDelay(false); connect [fd00::1]:80"
	if got := s.taken(); got != want {
		t.Errorf("dialling UDP:\n got %s\nwant %s", got, want)
	}

	c := api.ListenConfig{Net: l.Net(), Options: []api.Option{api.ReadBuffer(1000)}}
	must1(c.Listen(ctx, "tcp", "10.0.0.9:80"))
	want = "socket; api.ReuseAddr(true); api.ReadBuffer(1000); bind 10.0.0.9:80; name; listen; name"
	if got := s.taken(); got != want {
		t.Errorf("listening:\n got %s\nwant %s", got, want)
	}
	must1(c.ListenPacket(ctx, "udp", "239.1.2.3:80"))
	want = "socket; api.ReuseAddr(true); api.Broadcast(true); api.ReadBuffer(1000); bind 0.0.0.0:80; name"
	if got := s.taken(); got != want {
		t.Errorf("listening at a group:\n got %s\nwant %s", got, want)
	}
}

// What goes wrong before the connect is told as what it is, and leaves no socket.
func TestDialerRefuses(t *testing.T) {
	s := new(scribe)
	l := api.New(s, api.Config{})
	defer l.Exit()
	closed := func(what string) {
		t.Helper()
		if got := s.taken(); !strings.HasSuffix(got, "; close") || strings.Contains(got, "connect") {
			t.Errorf("%s: %s", what, got)
		}
	}
	call := func(what string, err error, call string) {
		t.Helper()
		faces{T: t}.fails(what, err, syscall.EINVAL, false)
		var sys *os.SyscallError
		if errors.As(err, &sys) && sys.Syscall != call {
			t.Errorf("%s: the call is %s", what, sys.Syscall)
		}
		closed(what)
	}
	d := api.Dialer{Net: l.Net(), Options: []api.Option{api.TTL(0)}}
	_, err := d.Dial("tcp", "10.0.0.1:80")
	call("a bad option", err, "setsockopt")
	c := api.ListenConfig{Net: l.Net(), Options: d.Options}
	_, err = c.Listen(ctx, "tcp", "10.0.0.1:80")
	call("a listener's bad option", err, "setsockopt")
	_, err = c.ListenPacket(ctx, "udp", "10.0.0.1:80")
	call("a socket's bad option", err, "setsockopt")

	d = api.Dialer{Net: l.Net(), Control: func(_ context.Context, _, _ string, set func(api.Option) error) error { return set(api.TTL(0)) }}
	_, err = d.Dial("tcp", "10.0.0.1:80")
	call("a bad option of Control", err, "setsockopt")
	own := errors.New("not there")
	d.Control = func(context.Context, string, string, func(api.Option) error) error { return own }
	_, err = d.Dial("tcp", "10.0.0.1:80")
	if op, ok := err.(*net.OpError); !ok || op.Op != "dial" || op.Err != own || op.Addr.String() != "10.0.0.1:80" {
		t.Errorf("Control's error came as %#v", err)
	}
	closed("Control's error")
	d.Control = func(context.Context, string, string, func(api.Option) error) error { return context.Canceled }
	if _, err = d.Dial("tcp", "10.0.0.1:80"); err.(*net.OpError).Err != context.Canceled {
		t.Errorf("Control's error came as %#v", err)
	}
	closed("Control's error")
	d.Control = func(context.Context, string, string, func(api.Option) error) error { panic(own) }
	func() {
		defer func() {
			if r := recover(); r != own {
				t.Errorf("Control's panic came as %v", r)
			}
		}()
		d.Dial("tcp", "10.0.0.1:80")
	}()
	closed("Control's panic")
}

// Keep-alives are as package net would have set them.
func TestKeepAlives(t *testing.T) {
	const s = time.Second
	on := func(idle, interval time.Duration, count int) api.KeepAlive {
		return api.KeepAlive{On: true, Idle: idle, Interval: interval, Count: count}
	}
	s0 := new(scribe)
	l := api.New(s0, api.Config{})
	defer l.Exit()
	for _, c := range []struct {
		idle   time.Duration
		config net.KeepAliveConfig
		want   api.Option // nil: nothing is set
	}{
		{0, net.KeepAliveConfig{}, on(15*s, 15*s, 9)},
		{30 * s, net.KeepAliveConfig{}, on(30*s, 15*s, 9)},
		{-1, net.KeepAliveConfig{}, nil},
		{-1, net.KeepAliveConfig{Idle: s}, nil},
		{-1, net.KeepAliveConfig{Enable: true}, on(15*s, 15*s, 9)},
		{30 * s, net.KeepAliveConfig{Enable: true, Idle: s, Interval: 2 * s, Count: 3}, on(s, 2*s, 3)},
		{30 * s, net.KeepAliveConfig{Idle: s, Interval: 2 * s, Count: 3}, on(30*s, 15*s, 9)},
		{0, net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}, on(0, 0, 0)}, // zero leaves things as they are
	} {
		d := api.Dialer{Net: l.Net(), KeepAlive: c.idle, KeepAliveConfig: c.config}
		must1(d.Dial("tcp", "10.0.0.1:80"))
		lc := api.ListenConfig{Net: l.Net(), KeepAlive: c.idle, KeepAliveConfig: c.config}
		ln := must1(lc.Listen(ctx, "tcp", "10.0.0.1:80"))
		s0.taken()
		must1(d.Dial("tcp", "10.0.0.1:80"))
		dialled := s0.taken()
		must1(ln.Accept())
		accepted := s0.taken()
		want := ""
		if c.want != nil {
			want = fmt.Sprintf("; %T(%v)", c.want, c.want)
		}
		if dialled != "socket; connect 10.0.0.1:80"+want || accepted != "accept"+want {
			t.Errorf("%v, %+v: %s, and %s", c.idle, c.config, dialled, accepted)
		}
	}
}

func TestSetKeepAlive(t *testing.T) {
	eachKind(t, func(t *testing.T, r rig) {
		_, client := faces{t, ours(r.server, r.addr), ours(r.client, r.addr)}.pair()
		c := client.(*api.Conn)
		k := api.KeepAlive{On: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9}
		for _, step := range []struct {
			set    func() error
			change func()
		}{
			{func() error { return c.SetKeepAlivePeriod(time.Minute) }, func() { k.Idle = time.Minute }},
			{func() error { return c.SetKeepAlivePeriod(-1) }, func() {}},
			{func() error { return c.SetKeepAlive(false) }, func() { k.On = false }},
			{func() error { return c.SetKeepAlivePeriod(0) }, func() { k.Idle = 15 * time.Second }},
			{func() error { return c.SetKeepAliveConfig(net.KeepAliveConfig{Idle: -1, Interval: -1, Count: 3}) }, func() { k.Count = 3 }},
			{func() error { return c.SetKeepAlive(true) }, func() { k.On = true }},
		} {
			must(step.set())
			step.change()
			if o, err := c.Option(api.KeepAlive{}); o != k || err != nil {
				t.Errorf("%+v, %v, want %+v", o, err, k)
			}
		}
	})
}

// The types have the methods of package net's, with the same parameters.
func TestMethods(t *testing.T) {
	for _, c := range []struct {
		theirs, ours reflect.Type
		lacks        []string
	}{
		{reflect.TypeFor[*net.TCPConn](), reflect.TypeFor[*api.Conn](), []string{"File", "MultipathTCP", "SyscallConn"}},
		{reflect.TypeFor[*net.UDPConn](), reflect.TypeFor[*api.PacketConn](), []string{
			"File", "ReadMsgUDP", "ReadMsgUDPAddrPort", "SyscallConn", "WriteMsgUDP", "WriteMsgUDPAddrPort",
		}},
		{reflect.TypeFor[*net.TCPListener](), reflect.TypeFor[*api.Listener](), []string{"AcceptTCP", "File", "SyscallConn"}},
	} {
		var lacks []string
		for i := range c.theirs.NumMethod() {
			m := c.theirs.Method(i)
			our, ok := c.ours.MethodByName(m.Name)
			if !ok {
				lacks = append(lacks, m.Name)
				continue
			}
			signature := func(m reflect.Method) string { // without the receiver
				_, rest, _ := strings.Cut(m.Type.String(), "*")
				_, rest, _ = strings.Cut(rest, " ")
				return rest
			}
			if a, b := signature(m), signature(our); a != b {
				t.Errorf("%v.%s: %s, package net's is %s", c.ours, m.Name, b, a)
			}
		}
		if !slices.Equal(lacks, c.lacks) {
			t.Errorf("%v lacks %q, want %q", c.ours, lacks, c.lacks)
		}
	}
}
