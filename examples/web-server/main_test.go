package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/examples/internal/exampletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The service does not know that it is on a wire in memory, nor does its client.
func TestSite(t *testing.T) {
	wire := exampletest.NewWire(t)
	wire.Start("10.0.0.1/24", run)
	client := wire.Host("10.0.0.2/24")
	tr := &http.Transport{DialContext: client.Net().DialContext}
	defer tr.CloseIdleConnections()
	web := &http.Client{Transport: tr}

	reply, err := web.Get("http://10.0.0.1/")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(reply.Body)
	reply.Body.Close()
	if err != nil || !strings.HasPrefix(string(body), "hello 10.0.0.2:") {
		t.Errorf("%q, %v", body, err)
	}
}

// An interrupt lets a request end that has begun, and nobody else in.
func TestInterrupt(t *testing.T) {
	wire := exampletest.NewWire(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, wire.Flags("10.0.0.1/24"), in) }()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	client := wire.Host("10.0.0.2/24")
	tr := &http.Transport{DialContext: client.Net().DialContext, ExpectContinueTimeout: time.Minute}
	defer tr.CloseIdleConnections()

	body, upload := io.Pipe()
	request, err := http.NewRequest("POST", "http://10.0.0.1/echo", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Expect", "100-continue")
	answer := make(chan string, 1)
	go func() {
		reply, err := (&http.Client{Transport: tr}).Do(request)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer reply.Body.Close()
		b, err := io.ReadAll(reply.Body)
		answer <- fmt.Sprint(string(b), err)
	}()
	io.WriteString(upload, "begun, ") // taken only once the request is being served
	interrupt()
	for err = nil; !errors.Is(err, syscall.ECONNREFUSED); {
		var c net.Conn
		if c, err = client.Net().Dial("tcp", "10.0.0.1:80"); err == nil {
			c.Close()
		}
	}
	io.WriteString(upload, "and done")
	upload.Close()
	if got := <-answer; got != "begun, and done<nil>" {
		t.Errorf("the answer is %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
