//go:build unix

package wrap

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ringtail-net/ringtail/hal/wrap/pcapng"
)

// A capture into a FIFO is seen while it goes on.
func TestPcapLiveThroughFIFO(t *testing.T) {
	name := filepath.Join(t.TempDir(), "live")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Skip("mkfifo:", err)
	}
	reader := make(chan *os.File)
	go func() {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
		}
		reader <- f
	}()
	w, err := OpenPcap(name)
	if err != nil {
		t.Fatal(err)
	}
	in := <-reader
	defer in.Close()

	f := newFake()
	dev := Pcap(f, pcapng.NewWriter(w, ""), PcapOptions{})
	rx, tx := queues(t, dev)
	r := pcapng.NewReader(in)
	for n := range 3 {
		send(t, tx, number(t, n))
		flush(t, tx)
		f.in = []packet{number(t, n)}
		receive(t, rx)
		for _, want := range []pcapng.Direction{pcapng.Out, pcapng.In} {
			p, err := r.Next()
			if err != nil || p.Dir != want {
				t.Fatalf("round %d: %v, %v", n, p.Dir, err)
			}
		}
	}
	dev.Close()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}
