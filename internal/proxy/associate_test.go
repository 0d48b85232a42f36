package proxy

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// associateAt opens an association and returns its connection, and a socket that is
// connected to its relay.
func (b *bed) associateAt(address, request string) (control, udp net.Conn) {
	b.t.Helper()
	control = b.dial(Kernel, "tcp", address)
	io.WriteString(control, "\x05\x01\x00"+request)
	head := make([]byte, 2+4+4+2)
	if _, err := io.ReadFull(control, head); err != nil || !bytes.HasPrefix(head, []byte("\x05\x00\x05\x00\x00\x01")) {
		b.t.Fatalf("the answer is %q, %v", head, err)
	}
	d, err := readDestination(bytes.NewReader(head[6:]), addressIPv4)
	if err != nil {
		b.t.Fatal(err)
	}
	return control, b.dial(Kernel, "udp", d.String())
}

const associateAny = "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"

func toName(name string, port byte, payload string) string {
	return "\x00\x00\x00\x03" + string(rune(len(name))) + name + "\x00" + string(rune(port)) + payload
}

// One port of the host serves all targets, by address and by name, and who else
// finds the relay is not heard.
func TestAssociation(t *testing.T) {
	b := newBed(t)
	b.serveEchoes(b.far.Net(), "10.0.0.2:7")
	b.serveEchoes(b.far.Net(), "10.0.0.2:8")
	b.serveEchoes(b.host.Net(), "127.0.0.1:9")
	p := b.start(Config{Socks: []string{"127.0.0.1:0"}})
	control, udp := b.associateAt(at(p, 0), associateAny)

	const seven, eight = "\x00\x00\x00\x01\x0a\x00\x00\x02\x00\x07", "\x00\x00\x00\x01\x0a\x00\x00\x02\x00\x08"
	got := ask(t, udp, seven+"hello")
	ours, ok := strings.CutPrefix(got, seven+"hello 10.0.0.1:")
	if !ok {
		t.Fatalf("port 7 answers %q", got)
	}
	if got := ask(t, udp, eight+"hello"); got != eight+"hello 10.0.0.1:"+ours {
		t.Errorf("port 8 answers %q, and our port was %s", got, ours)
	}
	for range 2 { // resolved, and known
		got := ask(t, udp, toName("localhost", 9, "hello"))
		if !strings.HasPrefix(got, "\x00\x00\x00\x01\x7f\x00\x00\x01\x00\x09hello 127.0.0.1:") {
			t.Errorf("the host itself answers %q", got)
		}
	}

	// Not from another port of the client, not in fragments, not without a target.
	stranger := b.dial(Kernel, "udp", udp.RemoteAddr().String())
	for i, c := range []struct {
		net.Conn
		say string
	}{{stranger, seven + "x"}, {udp, "\x00\x00\x01" + seven[3:] + "x"}, {udp, "\x00\x00"}, {udp, toName("no.name.invalid", 9, "x")}} {
		io.WriteString(c.Conn, c.say)
		waitUntil(t, "a dropped datagram", func() bool { return p.Stats()[0].Dropped == uint64(i+1) })
	}

	// Anybody may answer to the port of the host.
	somebody, err := b.far.Net().ListenPacket("udp", "10.0.0.2:53")
	if err != nil {
		t.Fatal(err)
	}
	defer somebody.Close()
	somebody.WriteTo([]byte("unasked"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.1:"+ours)))
	buf := make([]byte, 100)
	if n, err := udp.Read(buf); err != nil || string(buf[:n]) != "\x00\x00\x00\x01\x0a\x00\x00\x02\x00\x35unasked" {
		t.Errorf("%q, %v", buf[:n], err)
	}

	// It ends with its connection.
	control.Close()
	waitUntil(t, "the end", func() bool { return p.Stats()[0].Open == 0 })
	if s := p.Stats()[0]; s.Failed != 0 || s.ToTarget != 4*5 {
		t.Errorf("%+v", s)
	}
	again, err := net.ListenPacket("udp", udp.RemoteAddr().String())
	if err != nil {
		t.Fatalf("the relay is still there: %v", err)
	}
	again.Close()
}

// A client that names its port is heard from there only; the end of the proxy ends
// associations.
func TestAssociationOfAPort(t *testing.T) {
	b := newBed(t)
	b.serveEchoes(b.far.Net(), "10.0.0.2:7")
	p := b.start(Config{Socks: []string{"127.0.0.1:0"}})
	control, udp := b.associateAt(at(p, 0), associateAny[:8]+"\x00\x01")
	io.WriteString(udp, "\x00\x00\x00\x01\x0a\x00\x00\x02\x00\x07x")
	waitUntil(t, "a dropped datagram", func() bool { return p.Stats()[0].Dropped == 1 })
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := control.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection: %v", err)
	}
}
