package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/internal/testenv"
)

// Most tests run beside each other: they wait for a link, for duplicate address
// detection, or for nothing to happen. TestTransfers needs the processors.
var bothFaces = []string{"queue", "net"}

// urls are the server over both families.
var urls = []string{"http://10.77.0.2", "http://[fd77::2]"}

// randomFile writes a file of n random bytes and returns its hash.
func randomFile(t *testing.T, n int) (path, sum string) {
	t.Helper()
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(data)
	path = filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(data)
	return path, hex.EncodeToString(h[:])
}

func (s *server) transfer(url string, path, sum string, n int) {
	s.t.Helper()
	if got := strings.TrimSpace(s.sh("curl -gsS --data-binary @" + path + " -H Expect:\\ 100-continue " + url + "/sum")); got != sum {
		s.t.Errorf("POST %s/sum of %d bytes: %s, want %s", url, n, got, sum)
	}
	out := filepath.Join(s.t.TempDir(), "out")
	s.sh(fmt.Sprintf("curl -gsSf -o %s %s/bytes/%d", out, url, n))
	f, err := os.ReadFile(out)
	if err != nil {
		s.t.Fatal(err)
	}
	os.Remove(out)
	// Byte i is i modulo 251, as `ringtail serve --help` says.
	period := make([]byte, 251)
	for i := range period {
		period[i] = byte(i)
	}
	if want := bytes.Repeat(period, n/251+1)[:n]; sha256.Sum256(f) != sha256.Sum256(want) {
		s.t.Errorf("GET %s/bytes/%d: %d bytes, not the ones that were asked for", url, n, len(f))
	}
}

// eachServer runs a test against servers of both faces on a TAP, and of one face
// on every other wire, all at the same time. Variants have the long form only.
func eachServer(t *testing.T, f func(t *testing.T, w wire, face string)) {
	for i, w := range wires {
		for j, face := range bothFaces {
			if !w.isTap() && i/2%2 != j || w.variant && !testenv.Long() {
				continue
			}
			t.Run(w.String()+" "+face, func(t *testing.T) {
				t.Parallel()
				w.needs(t)
				f(t, w, face)
			})
		}
	}
}

// TestTransfers is not parallel: it needs the processors. Variants have one face
// only, but in the long form.
func TestTransfers(t *testing.T) {
	needs(t, "ethtool")
	for _, w := range wires {
		size := 100_000_000
		if w != tapWire && !testenv.Long() {
			size = 20_000_000
		}
		path, sum := randomFile(t, size)
		for j, face := range bothFaces {
			if w.variant && j == 0 && !testenv.Long() {
				continue
			}
			t.Run(w.String()+" "+face, func(t *testing.T) {
				w.needs(t)
				s := w.lab(t)
				if !w.isTap() && !w.whole {
					offloadsOn(t, s.ns, "veth1")
				}
				s.run(nil, "serve", append(ours, "--face", face)...)
				for _, url := range urls {
					if got := s.sh("curl -gsS " + url + "/"); got != "Hello, world\n" {
						t.Errorf("GET %s/: %q", url, got)
					}
					s.transfer(url, path, sum, size)
				}
			})
		}
	}
}

func TestTransfersOverABadLink(t *testing.T) {
	t.Parallel()
	needs(t)
	for i, w := range wires {
		size := 10_000_000
		if !w.isTap() {
			size = 1_000_000
		}
		path, sum := randomFile(t, size)
		for j, face := range bothFaces {
			for k, url := range urls {
				if w != tapWire && (i%2 != j || i/2%2 != k) {
					continue
				}
				t.Run(w.String()+" "+face+" "+url, func(t *testing.T) {
					t.Parallel()
					w.needs(t)
					s := w.serve(t, "--face", face, "--seed", "7", "--faults", "drop=2%,delay=2ms,reorder=2%,dup=1%,corrupt=1%")
					s.transfer(url, path, sum, size)
				})
			}
		}
	}
}

func TestManyConnections(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, w wire, face string) {
		s := w.serve(t, "--face", face)
		out := s.sh("for i in $(seq 64); do curl -sSf http://10.77.0.2/bytes/200000 | wc -c & done; wait")
		if got := strings.Count(out, "200000\n"); got != 64 {
			t.Errorf("%d of 64 transfers are whole:\n%s", got, out)
		}
	})
}

func TestHalfClose(t *testing.T) {
	t.Parallel()
	needs(t, "nc")
	path, sum := randomFile(t, 3_000_000)
	eachServer(t, func(t *testing.T, w wire, face string) {
		s := w.serve(t, "--face", face)
		// nc closes its sending side at the end of the file, and goes on reading.
		if got := s.sh("nc -N 10.77.0.2 7 < " + path + " | sha256sum"); !strings.HasPrefix(got, sum) {
			t.Errorf("the echo hashes to %s", got)
		}
		if got := s.sh("nc -N -6 fd77::2 7 <<< hello"); got != "hello\n" {
			t.Errorf("echo over IPv6: %q", got)
		}
		s.sh("nc -N 10.77.0.2 9 < " + path) // discard
		if got := s.sh("echo datagram | nc -u -w 1 10.77.0.2 7"); got != "datagram\n" {
			t.Errorf("echo over UDP: %q", got)
		}
		if got := s.sh("nc 10.77.0.2 19 < /dev/null | head -c 1000 | wc -c"); strings.TrimSpace(got) != "1000" {
			t.Errorf("chargen: %s bytes", got)
		}
	})
}

// stats returns /stats.
func (s *server) stats() (v struct {
	Services map[string]struct{ Open int }
	Host     struct {
		Sockets int
		Waiting int
	}
}) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.sh("curl -sS http://10.77.0.2/stats")), &v); err != nil {
		s.t.Fatal(err)
	}
	return v
}

func TestSlowAndKilledClients(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, w wire, face string) {
		s := w.serve(t, "--face", face)
		before := s.stats()
		// A reader that takes a little and stays; another is served meanwhile.
		slow := s.ns.Command("curl", "-sS", "--limit-rate", "50K", "-o", "/dev/null", "http://10.77.0.2/bytes/50000000")
		if err := slow.Start(); err != nil {
			t.Fatal(err)
		}
		if got := s.sh("curl -sSf http://10.77.0.2/bytes/5000000 | wc -c"); strings.TrimSpace(got) != "5000000" {
			t.Errorf("beside a slow reader: %s bytes", got)
		}
		upload := s.ns.Command("bash", "-c", "exec curl -sS -T /dev/zero -X POST http://10.77.0.2/sum")
		if err := upload.Start(); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "both are being served", func() bool { return s.stats().Services["http"].Open >= 3 })
		for _, c := range []*exec.Cmd{slow, upload} {
			c.Process.Kill()
			c.Wait()
		}
		waitUntil(t, "what the killed clients held is free", func() bool {
			now := s.stats()
			return now.Host.Sockets == before.Host.Sockets && now.Services["http"].Open == before.Services["http"].Open
		})
	})
}

func waitUntil(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for guard := time.Now().Add(patience); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(guard) {
			t.Fatal("never happened: " + what)
		}
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	needs(t, "ping")
	eachWire(t, wires, func(t *testing.T, w wire) {
		s := w.serve(t)
		size := 65000
		if w.whole { // DPDK has the kernel join fragments for it, and cuts what is too long
			size = 1400
		}
		for _, args := range []string{"10.77.0.2", fmt.Sprint("-s ", size, " 10.77.0.2"), "fd77::2", fmt.Sprint("-s ", size, " fd77::2")} {
			if out := s.sh("ping -c 3 -i 0.1 -W 20 " + args); !strings.Contains(out, " 0% packet loss") {
				t.Errorf("ping %s:\n%s", args, out)
			}
		}
	})
}

func TestCaptureOpensCleanInTshark(t *testing.T) {
	t.Parallel()
	needs(t, "tshark", "nc")
	eachWire(t, wires, func(t *testing.T, w wire) {
		path := filepath.Join(t.TempDir(), "c.pcapng")
		t.Run("serve", func(t *testing.T) {
			s := w.serve(t, "--pcap", path)
			s.sh("curl -sS http://10.77.0.2/bytes/1000000 > /dev/null; echo hello | nc -N 10.77.0.2 7")
		})
		opensClean(t, path)
	})
}

func opensClean(t *testing.T, path string) {
	t.Helper()
	out, err := exec.Command("tshark", "-r", path, "-T", "fields", "-e", "frame.number", "-Y", "_ws.malformed || _ws.short").CombinedOutput()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if _, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			t.Errorf("frame %s is malformed", line)
		}
	}
	out, err = exec.Command("tshark", "-r", path, "-Y", "http.response.code == 200").Output()
	if err != nil || !bytes.Contains(out, []byte("200 OK")) {
		t.Errorf("the capture lacks the answer: %v\n%s", err, out)
	}
}

// TestIdle: a server that nobody asks uses less than a hundredth of a core, unless it
// has to look for what arrives.
func TestIdle(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, w wire, face string) {
		s := w.serve(t, "--face", face)
		s.sh("curl -sS http://10.77.0.2/ >/dev/null")
		time.Sleep(time.Second) // the connection's end
		const span = 3 * time.Second
		before := s.cpu()
		time.Sleep(span)
		if used := s.cpu() - before; used > span/100 && w.driver != "dpdk" {
			t.Errorf("%v of CPU in %v of idleness", used, span)
		} else {
			t.Logf("%v of CPU in %v of idleness", used, span)
		}
	})
}

// cpu returns the processor time that the server has used.
func (s *server) cpu() time.Duration {
	s.t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		s.t.Fatalf("no threads to be seen: %v", err)
	}
	var total time.Duration
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // it has ended
		}
		ns, _, _ := strings.Cut(string(b), " ")
		n, _ := strconv.ParseInt(ns, 10, 64)
		total += time.Duration(n)
	}
	return total
}
