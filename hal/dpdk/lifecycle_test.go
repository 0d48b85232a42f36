//go:build dpdk && cgo && linux

package dpdk

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/internal/netlab"
)

// holdings is what this process has of the system and of DPDK.
type holdings struct {
	files, threads, ports, pools, cables int
}

func (h holdings) String() string {
	return fmt.Sprintf("%d files, %d threads, %d ports, %d pools, %d cables", h.files, h.threads, h.ports, h.pools, h.cables)
}

func count(t testing.TB) holdings {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, th := range threads {
		// Those of Go come and go as it likes, and have the program's name.
		name, _ := os.ReadFile(filepath.Join("/proc/self/task", th.Name(), "comm"))
		if !strings.HasPrefix(os.Args[0][strings.LastIndexByte(os.Args[0], '/')+1:], strings.TrimSpace(string(name))) {
			n++
		}
	}
	eal.Lock()
	defer eal.Unlock()
	return holdings{len(files), n, ports(), len(eal.late), len(eal.cable)}
}

// A port that was opened, used and closed has left nothing, however often. Not so
// net_af_xdp: that of DPDK 22.11 keeps its socket, so that a process cannot open the
// same queue of an interface again (EBUSY).
func TestNothingIsLeft(t *testing.T) {
	needKernel(t)
	ns := netlab.New(t).Namespace("left")
	lab := netlab.New(t)
	a, b := lab.Namespace("a"), lab.Namespace("b")
	name := veth(t, a, b, lab)
	folder := t.TempDir()
	for _, spec := range []string{
		"dpdk:net_null1%d?queues=4",
		"dpdk:net_ring1%d?queues=2",
		"dpdk:net_ring1%d?pair=one",
		"dpdk:net_memif1%d?role=server&socket=" + folder + "/memif",
		"dpdk:net_tap1%d?iface=left&netns=" + ns.Path(),
		"dpdk:net_af_packet1%d?iface=" + name + "&netns=" + a.Path(),
	} {
		use := func(n int) {
			d, err := hal.Open(fmt.Sprintf(spec, n) + "&huge=off")
			if err != nil {
				t.Fatal(err)
			}
			rx, tx, err := d.Queue(0)
			if err != nil {
				t.Fatal(err)
			}
			fs := make([]hal.Frame, 64)
			for range 20 {
				n, err := tx.Alloc(fs, 100)
				if err != nil {
					t.Fatal(err)
				}
				sent, err := tx.Tx(fs[:n])
				if err != nil {
					t.Fatal(err)
				}
				tx.Release(fs[sent:n])
			}
			got, err := rx.Rx(fs)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Errorf("%s: Close: %v", spec, err)
			}
			rx.Release(fs[:got]) // after Close: the memory lived until now
		}
		use(0)
		before := count(t)
		for i := range 10 {
			use(i % 3)
		}
		if strings.Contains(spec, "memif") {
			before.files += 10 // DPDK 22.11 forgets the descriptor on which a server listened
		}
		if after := count(t); after != before {
			t.Errorf("%s: before %v, after %v", spec, before, after)
		}
	}
	if entries, _ := os.ReadDir(folder); len(entries) > 0 {
		t.Errorf("left in the folder of the socket: %v", entries)
	}
	if prefix := fmt.Sprintf("/var/run/dpdk/ringtail.%d", os.Getpid()); exists(prefix) {
		t.Errorf("%s is there", prefix)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// What is given back twice might belong to somebody else by now.
func TestGivenBackTwice(t *testing.T) {
	need(t)
	d := openSpec(t, "dpdk:net_ring%d?huge=off", number())
	_, tx, _ := d.Queue(0)
	fs := make([]hal.Frame, 1)
	if n, err := tx.Alloc(fs, 100); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	tx.Release(fs)
	defer func() {
		if recover() == nil {
			t.Error("the second Release of a frame is accepted")
		}
	}()
	tx.Release(fs)
}

// The environment exists once: who asks for another one is told what there is.
func TestSecondEnvironment(t *testing.T) {
	need(t)
	openSpec(t, "dpdk:net_null%d?huge=off", number())
	for keys, want := range map[string]string{
		"net_null%d?huge=on":             "huge=off",
		"net_null%d?lcores=7":            "lcores=7",
		"net_null%d?eal=--bogus%%20x":    `eal="--bogus x"`,
		"0000:ff:1f.%d?huge=off":         "--no-pci",
		"net_null%d?huge=off&queues=64":  "fewer mbufs=",
		"net_tap%d?queues=64":            "16 queues at most",
		"net_null%d?mtu=65000&queues=2":  "fewer mbufs=",
		"net_null%d?queues=8":            "",
		"net_null%d?room=1000":           "room=1000",
		"net_nosuch%d":                   "net_nosuch",
		"net_af_packet%d?iface=nosuch0x": "net_af_packet",
	} {
		d, err := hal.Open("dpdk:" + fmt.Sprintf(keys, 7))
		if err == nil {
			d.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want an error that names %q", keys, err, want)
		}
	}
	if n := ports(); n != 1 {
		t.Errorf("%d ports are left after openings that failed, want the one that is open", n)
	}
}

// The thread that starts DPDK, and every other one, may run where it could before.
func TestThreadsAreNotBound(t *testing.T) {
	need(t)
	openSpec(t, "dpdk:net_null%d?huge=off", number())
	cpus, err := processors()
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		var tid int
		fmt.Sscan(task.Name(), &tid)
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(tid, &set); err == nil && set.Count() != len(cpus) {
			t.Errorf("thread %d may run on %d processors of %d", tid, set.Count(), len(cpus))
		}
	}
}

// lines is a logger that keeps what it gets.
type lines struct {
	slog.Handler
	mu   sync.Mutex
	text []string
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, r.Level.String()+" "+r.Message)
	return nil
}

// What DPDK writes goes to the logger of the port that is open, with its level.
func TestLog(t *testing.T) {
	need(t)
	l := new(lines)
	c := Config{Name: fmt.Sprint("net_memif", number()), Args: []string{"role=server", "socket=" + filepath.Join(t.TempDir(), "s")}, Huge: "off", Log: slog.New(l)}
	d, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.text {
		if strings.HasPrefix(line, "WARN ") || strings.HasPrefix(line, "INFO ") || strings.HasPrefix(line, "ERROR ") {
			return
		}
	}
	t.Errorf("nothing was logged: %q", l.text)
}

// Arguments that EAL does not take can be corrected in the same process.
func TestStartAgain(t *testing.T) {
	need(t)
	c, err := newChild()
	if err != nil {
		t.Fatal(err)
	}
	defer c.end()
	if _, err := c.ask(message{Open: "dpdk:net_null0?huge=off&args=no-rx=1&lcores=nonsense"}); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("lcores=nonsense: %v, want an error that quotes it", err)
	}
	if _, err := c.ask(message{Open: "dpdk:net_null0?huge=off&args=no-rx=1"}); err != nil {
		t.Errorf("the second start: %v", err)
	}
}

// net_af_packet changes the kernel's interface, and sets it back.
func TestInterfaceIsSetBack(t *testing.T) {
	needKernel(t)
	lab := netlab.New(t)
	a, b := lab.Namespace("a"), lab.Namespace("b")
	name := veth(t, a, b, lab)
	facts := func() string { // flags, MTU and address
		out := a.Run("ip", "-d", "-o", "link", "show", name)
		_, out, _ = strings.Cut(out, name)
		return strings.Split(out, " numtxqueues")[0]
	}
	before := facts()
	mac := hal.MAC{2, 0, 0, 0, 0, 99}
	d := openSpec(t, "dpdk:net_af_packet%d?huge=off&iface=%s&netns=%s&mtu=1400&promiscuous&mac=%v", number(), name, a.Path(), mac)
	if i := d.Info(); i.MAC != mac || i.MTU != 1400 || i.SharedMAC {
		t.Errorf("opened with %+v", i)
	}
	if during := facts(); during == before || !strings.Contains(during, mac.String()) || !strings.Contains(during, "mtu 1400") || !strings.Contains(during, "promiscuity 1") {
		t.Errorf("the interface was not changed: %s", during)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if after := facts(); after != before {
		t.Errorf("before: %s\nafter:  %s", before, after)
	}
}

// A peer of memif dies and comes back, on either side: the other sees the link go and
// come, and frames pass again. Nothing that a kill leaves stands in the way.
func TestPeerIsKilled(t *testing.T) {
	need(t)
	for _, j := range joints[:2] {
		t.Run(j.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "socket")
			dev := openSpec(t, "%s", j.spec(j.dev, path))
			spec := j.spec(j.far, path)
			for round := range 3 {
				c, err := newChild()
				if err != nil {
					t.Fatal(err)
				}
				c.open(t, spec)
				joined(t, dev, c)
				_, tx, _ := dev.Queue(0)
				rx, _, _ := dev.Queue(0)
				p, _ := segment([]byte("to the child"), 0)
				sendNow(t, tx, p)
				if got, err := c.Recv(10 * time.Second); err != nil || string(got[54:]) != "to the child" {
					t.Fatalf("round %d: the child received %q, %v", round, got, err)
				}
				if err := c.Send(p); err != nil {
					t.Fatal(err)
				}
				if got, _ := next(t, dev, rx); string(got[54:]) != "to the child" {
					t.Fatalf("round %d: received %q", round, got)
				}
				c.kill()
				waitLink(t, dev, hal.LinkDown)
				was := hal.StatsOf(dev).Drops["tx-link-down"]
				sendNow(t, tx, p)
				if now := hal.StatsOf(dev).Drops["tx-link-down"]; now != was+1 {
					t.Errorf("round %d: a packet to nobody was counted %d times", round, now-was)
				}
			}
		})
	}
}

// waitLink waits until a link is in a state.
func waitLink(t testing.TB, dev hal.Device, want hal.Link) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); dev.Info().Link != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the link is %v, want %v", dev.Info().Link, want)
		}
	}
}

// sendNow sends a packet. A server of memif can do that once its client has looked.
func sendNow(t testing.TB, tx hal.TxQueue, p []byte) {
	t.Helper()
	fs := make([]hal.Frame, 1)
	n, err := tx.Alloc(fs, len(p))
	if n != 1 || err != nil {
		t.Fatal("Alloc:", n, err)
	}
	copy(fs[0].Data, p)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Microsecond) {
		n, err := tx.Tx(fs)
		if n == 1 && err == nil {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatal("Tx:", n, err)
		}
	}
}
