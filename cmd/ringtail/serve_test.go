package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The commands talk to each other over a wire in memory.
func TestServe(t *testing.T) {
	for _, face := range []string{"queue", "net"} {
		t.Run(face, func(t *testing.T) {
			t.Parallel()
			wire := newWire()
			_, errOut := background(t, nil, "serve", "--hal", wire, "--addr", "10.0.0.1/24,fd00::1/64", "--face", face)
			if !strings.Contains(errOut.String(), "10.0.0.1/24, fd00::1/64, "+face+" face") {
				t.Errorf("said %q", errOut)
			}
			client := strings.Fields("--hal " + wire + " --addr 10.0.0.2/24")
			client6 := strings.Fields("--hal " + wire + " --addr fd00::2/64")
			for _, test := range []struct {
				input, want string
				args        []string
			}{
				{"GET / HTTP/1.0\r\n\r\n", "\r\n\r\nHello, world\n", append([]string{"nc", "-N", "10.0.0.1", "80"}, client...)},
				{"over and over", "over and over", append([]string{"nc", "-N", "fd00::1", "7"}, client6...)},
				{"a datagram", "a datagram", append([]string{"nc", "-u", "-w", "1s", "10.0.0.1", "7"}, client...)},
				{"", "3 sent, 3 received, 0.0% lost", append(strings.Fields("ping 10.0.0.1 -c 3 -i 1ms"), client...)},
				{"", "2 sent, 2 received", append(strings.Fields("ping fd00::1 -c 2 -i 1ms -s 5000"), client6...)},
			} {
				got := runWith(context.Background(), test.input, nil, test.args...)
				if got.code != 0 || !strings.Contains(got.out, test.want) {
					t.Errorf("%v: %+v", test.args, got)
				}
			}
		})
	}
}

func TestPing(t *testing.T) {
	wire := newWire()
	background(t, nil, "serve", "--hal", wire, "--addr", "10.0.0.1/24")
	var r pingResult
	got := runLine("ping 10.0.0.1 -c 2 -i 1ms --json --addr 10.0.0.2/24 --hal " + wire)
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.code != 0 {
		t.Fatalf("%v: %+v", err, got)
	}
	if r.Host != "10.0.0.1" || r.Sent != 2 || r.Received != 2 || len(r.RTTs) != 2 || r.RTTs[0] <= 0 {
		t.Errorf("%+v", r)
	}
	got = runLine("ping 10.0.0.9 -c 1 -W 10ms --addr 10.0.0.2/24 --hal " + wire)
	if got.code != 1 || !strings.Contains(got.out, "1 sent, 0 received, 100.0% lost") || !strings.Contains(got.err, "no reply from 10.0.0.9") {
		t.Errorf("nobody there: %+v", got)
	}
	// An interrupt ends it with a report.
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	var out, errOut buffer
	ended := make(chan int)
	go func() {
		ended <- run(ctx, strings.Fields("ping 10.0.0.1 --addr 10.0.0.2/24 --hal "+wire), console{out: &out, err: &errOut, getenv: noEnv})
	}()
	await(t, "a reply", func() bool { return strings.Contains(out.String(), "icmp_seq=1 ") })
	interrupt()
	if code := <-ended; code != 0 || !strings.Contains(out.String(), " received, ") {
		t.Errorf("interrupted: exit code %d\n%s%s", code, &out, &errOut)
	}
}

func TestNetcatListens(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			wire := newWire()
			flags := []string{"-w", "1s"} // which ends datagrams
			if network == "udp" {
				flags = append(flags, "-u")
			}
			server := append([]string{"nc", "-l", "5000", "--hal", wire, "--addr", "10.0.0.1/24"}, flags...)
			out, _ := background(t, strings.NewReader("welcome"), server...)
			// The client ends its input once it has been welcomed.
			input, keyboard := io.Pipe()
			var welcome, errOut buffer
			go func() {
				io.WriteString(keyboard, "hello")
				await(t, "a welcome", func() bool { return welcome.String() == "welcome" })
				keyboard.Close()
			}()
			client := append([]string{"nc", "-N", "10.0.0.1", "5000", "--hal", wire, "--addr", "10.0.0.2/24"}, flags...)
			if code := run(context.Background(), client, console{in: input, out: &welcome, err: &errOut, getenv: noEnv}); code != 0 {
				t.Errorf("client: %d, %s", code, &errOut)
			}
			await(t, "a hello", func() bool { return out.String() == "hello" })
		})
	}
}

func TestNetcatRefused(t *testing.T) {
	wire := newWire()
	background(t, nil, "serve", "--hal", wire, "--addr", "10.0.0.1/24")
	got := runLine("nc 10.0.0.1 81 --addr 10.0.0.2/24 --hal " + wire)
	if got.code != 1 || !strings.Contains(got.err, "connection refused") || strings.Count(got.err, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}

// An interrupt before the host is ready ends it just as cleanly.
func TestInterruptedStart(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range []string{"serve", "ping fd00::1", "nc fd00::1 80", "nc -l 80"} {
		got := runWith(ctx, "", nil, strings.Fields(args+" --addr fd00::2/64 --hal "+newWire())...)
		if got.code != 0 {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestDemo(t *testing.T) {
	capture := filepath.Join(t.TempDir(), "demo.pcapng")
	got := runWith(context.Background(), "", nil, "demo", "--seed", "2", "--json", "--pcap", capture)
	var r demoResult
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.code != 0 {
		t.Fatalf("%v: %+v", err, got)
	}
	if r.Seed != 2 || r.Bulk.Bytes != demoBytes || !r.Bulk.Matches || r.Echo.Count != demoEchoes || r.Echo.Min < 10*time.Millisecond {
		t.Errorf("%+v", r)
	}
	if len(r.Hosts) != 2 || r.Hosts[0].Drops == 0 || r.Hosts[0].Retransmits == 0 || r.Hosts[0].TxBytes < demoBytes {
		t.Errorf("nothing was lost: %+v", r.Hosts)
	}
	if info, err := os.Stat(capture); err != nil || info.Size() < demoBytes {
		t.Errorf("capture: %v, %v", info, err)
	}
	if !strings.Contains(got.err, "net face: GET") || strings.Contains(got.err, "\x1b") {
		t.Errorf("progress without a terminal: %q", got.err)
	}
}

// An interrupted demonstration says so and leaves nothing behind.
func TestDemoInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	got := runWith(ctx, "", nil, "demo")
	if got.code != 1 || got.out != "" || !strings.Contains(got.err, "ringtail: interrupted\n") {
		t.Errorf("%+v", got)
	}
}

// On a terminal the progress is one line, which is gone at the end.
func TestProgress(t *testing.T) {
	var errOut buffer
	p := newProgress(console{err: &errOut, terminal: true})
	p.show("first")
	p.show("too soon")
	p.end()
	p.end()
	if got := errOut.String(); got != "\r\x1b[Kfirst\r\x1b[K" {
		t.Errorf("%q", got)
	}
}
