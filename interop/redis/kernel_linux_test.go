package redis_test

import (
	"bytes"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/internal/testenv"
	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

func need(t *testing.T, program string) {
	t.Helper()
	_, err := exec.LookPath(program)
	testenv.Need(t, "tap", err)
}

// The kernel's redis-benchmark asks redcon on a host.
func TestBenchmark(t *testing.T) {
	need(t, "redis-benchmark")
	host, kernel := rig.Tap(t)
	_, port, err := net.SplitHostPort(serve(&rig.Rig{T: t, Server: host, Client: kernel.End}))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-c", "50", "-n", "5000"},
		{"-c", "50", "-n", "50000", "-P", "16"},
		{"-c", "10", "-n", "500", "-d", "65536"},
		{"-c", "20", "-n", "500", "-k", "0"}, // a connection for each request
	} {
		args = append(args, "-h", host.IP, "-p", port, "-t", "ping_mbulk,set,get,incr", "--csv")
		out := kernel.Run("redis-benchmark", args...)
		// A line for each test, and the head; errors it would print.
		if lines := strings.Count(out, "\n"); lines != 5 || strings.Contains(out, "rror") {
			t.Errorf("redis-benchmark %q:\n%s", args, out)
		}
		t.Logf("redis-benchmark %s\n%s", strings.Join(args[:len(args)-7], " "), out)
	}
}

// A host's go-redis asks the real server.
func TestServer(t *testing.T) {
	need(t, "redis-server")
	host, kernel := rig.Tap(t)
	const port = "6379"
	cmd := kernel.Command("redis-server", "--port", port, "--bind", kernel.IP, "--save", "", "--appendonly", "no",
		"--protected-mode", "no", "--dir", t.TempDir())
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("redis-server:\n%s", log.String())
		}
	})
	addr := net.JoinHostPort(kernel.IP, port)
	for guard := time.Now().Add(rig.Patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := host.Dial(t.Context(), "tcp", addr)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(guard) {
			t.Fatalf("redis-server does not listen: %v", err)
		}
	}
	exercise(&rig.Rig{T: t, Server: kernel.End, Client: host}, addr)
}
