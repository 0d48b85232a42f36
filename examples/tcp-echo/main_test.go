package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/examples/internal/exampletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func server(ctx context.Context, args []string, out io.Writer) error {
	return run(ctx, args, nil, out)
}

// The example is the server, and the example is the client.
func TestEcho(t *testing.T) {
	wire := exampletest.NewWire(t)
	wire.Start("10.0.0.1/24", server)
	for _, sent := range []string{"", "hello\n", strings.Repeat("0123456789abcdef", 1<<16)} {
		var back bytes.Buffer
		args := append(wire.Flags("10.0.0.2/24"), "--connect", "10.0.0.1:7")
		if err := run(t.Context(), args, strings.NewReader(sent), &back); err != nil {
			t.Fatal(err)
		}
		if back.String() != sent {
			t.Errorf("sent %d bytes, %d others came back", len(sent), back.Len())
		}
	}
}

// A client may go at any moment, and others are still served.
func TestClientsThatGo(t *testing.T) {
	wire := exampletest.NewWire(t)
	wire.Start("10.0.0.1/24", server, "--listen", "10.0.0.1:4711")
	host := wire.Host("10.0.0.2/24")
	for range 20 {
		c, err := host.Net().Dial("tcp", "10.0.0.1:4711")
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("x"))
		c.Close() // with the echo unread: a reset
	}
	c, err := host.Net().Dial("tcp", "10.0.0.1:4711")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("still there"))
	buf := make([]byte, 11)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "still there" {
		t.Errorf("%q, %v", buf, err)
	}
}

// Without a device there is no host: the error says what to do.
func TestNoDevice(t *testing.T) {
	if err := run(t.Context(), nil, nil, nil); err == nil || !strings.Contains(err.Error(), "--hal") {
		t.Errorf("%v, want a word about --hal", err)
	}
}
