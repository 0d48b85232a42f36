package examples_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail"
)

// hostOn opens a host on a wire in memory, until the test ends. The wire is as bad
// as the faults say.
func hostOn(t *testing.T, wire, addr, faults string) *ringtail.Host {
	host, err := ringtail.Open(ringtail.Config{
		HAL:    "loopback:" + wire,
		Name:   addr,
		Addrs:  []netip.Prefix{netip.MustParsePrefix(addr)},
		Faults: faults,
		Seed:   1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	return host
}

// A service and its client, over real TCP that loses segments, in one process and
// without any privilege.
func TestUploadOverABadLink(t *testing.T) {
	server := hostOn(t, t.Name(), "10.0.0.1/24", "")
	client := hostOn(t, t.Name(), "10.0.0.2/24", "drop=2%,delay=2ms,reorder=1%")

	ln, err := server.Net().Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: service()}
	go web.Serve(ln)
	defer web.Close()

	tr := &http.Transport{DialContext: client.Net().DialContext}
	defer tr.CloseIdleConnections()
	sent := bytes.Repeat([]byte("ringtail"), 100_000)
	reply, err := (&http.Client{Transport: tr}).Post("http://10.0.0.1/", "", bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if got, err := io.ReadAll(reply.Body); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came back: %v", len(got), err)
	}
	if client.Stats().TCP.Retransmits == 0 {
		t.Error("nothing was lost")
	}
}

// service is what is tested: it knows nothing of hosts.
func service() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		b.ReadFrom(r.Body)
		w.Write(b.Bytes())
	})
}

// Two hosts in one process, each with flags and variables of its own.
func twoHosts(fs *flag.FlagSet, args []string) (inside, outside *ringtail.Host, err error) {
	in, out := ringtail.Config{Name: "inside"}, ringtail.Config{Name: "outside"}
	for prefix, cfg := range map[string]*ringtail.Config{"in-": &in, "out-": &out} {
		if err := cfg.FromEnvWithPrefix(prefix, os.LookupEnv); err != nil { // RINGTAIL_IN_HAL, …
			return nil, nil, err
		}
		cfg.RegisterFlagsWithPrefix(prefix, fs) // --in-hal, …
	}
	fs.Parse(args)
	if inside, err = ringtail.Open(in); err != nil {
		return nil, nil, err
	}
	if outside, err = ringtail.Open(out); err != nil {
		inside.Close()
		return nil, nil, err
	}
	return inside, outside, nil
}

func TestTwoHosts(t *testing.T) {
	fs := flag.NewFlagSet("gateway", flag.ContinueOnError)
	inside, outside, err := twoHosts(fs, strings.Fields("--in-hal loopback:two --in-addr 10.0.0.1/24 --out-hal loopback:two --out-addr 10.0.0.2/24"))
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	defer outside.Close()
	ln, err := inside.Net().Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if c, err := ln.Accept(); err == nil {
			fmt.Fprint(c, "from inside")
			c.Close()
		}
	}()
	c, err := outside.Net().DialContext(context.Background(), "tcp", "10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "from inside" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestEmbeddingIsShort counts what the document says of itself.
func TestEmbeddingIsShort(t *testing.T) {
	doc, err := os.ReadFile("../embed.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```go\n")
	code, _, _ := strings.Cut(rest, "```")
	if n := strings.Count(code, "\n"); n == 0 || n > 15 {
		t.Errorf("the first block of embed.md has %d lines, and promises 15 at most", n)
	}
}
