package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/examples/internal/exampletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// report is what the client prints.
var report = regexp.MustCompile(`^requests (\d+), p50 [\d.]+[µm]?s, p99 [\d.]+[µm]?s\n$`)

func TestBothEnds(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--requests", "100"}, &out); err != nil {
		t.Fatal(err)
	}
	if m := report.FindStringSubmatch(out.String()); m == nil || m[1] != "100" {
		t.Errorf("printed %q", out.String())
	}
}

func TestServerAndClient(t *testing.T) {
	wire := exampletest.NewWire(t)
	wire.Start("10.0.0.1/24", run, "--listen", "[::]:7")
	for _, size := range []string{"1", "64", "65536"} {
		var out bytes.Buffer
		args := append(wire.Flags("10.0.0.2/24"), "--connect", "10.0.0.1:7", "--requests", "20", "--size", size)
		if err := run(t.Context(), args, &out); err != nil {
			t.Fatal(err)
		}
		if m := report.FindStringSubmatch(out.String()); m == nil || m[1] != "20" {
			t.Errorf("%s bytes: printed %q", size, out.String())
		}
	}
}

// A server that is not there, and flags that make no sense, are errors.
func TestErrors(t *testing.T) {
	wire := exampletest.NewWire(t)
	wire.Host("10.0.0.1/24")
	host := strings.Join(wire.Flags("10.0.0.2/24"), " ")
	for args, want := range map[string]string{
		host + " --connect 10.0.0.1:7": "refused",
		host:                           "either --listen",
		host + " --connect 10.0.0.1:7 --listen 10.0.0.2:7": "either --listen",
		"--size 0":     "--size 0",
		"--requests 0": "--requests 0",
	} {
		if err := run(t.Context(), strings.Fields(args), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
