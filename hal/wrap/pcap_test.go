package wrap

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/wrap/pcapng"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// handshake captures a TCP connection being opened, and a first super-frame.
func handshake(t testing.TB) []byte {
	t.Helper()
	f, clk := newFake(), newClock()
	var buf bytes.Buffer
	dev := Pcap(f, pcapng.NewWriter(&buf, "ringtail"), PcapOptions{Name: "golden", SnapLen: 128, Now: clk.now})
	rx, tx := queues(t, dev)
	f.info.TxOffloads, f.info.GSOMax = hal.Csum|hal.TSO4, 65549

	send(t, tx, complete(t, blankTCP(client4, server4, 1000, 0, 0x02, nil)))
	clk.advance(1234567 * time.Nanosecond)
	answer := complete(t, blankTCP(server4, client4, 5000, 1001, 0x12, nil))
	copy(answer.data, append(clientMAC[:], serverMAC[:]...))
	answer.data[34], answer.data[35], answer.data[36], answer.data[37] = 0, 80, 40000>>8, 40000&0xff
	f.in = []packet{answer}
	receive(t, rx)
	clk.advance(1000 * time.Nanosecond)
	send(t, tx, complete(t, blankTCP(client4, server4, 1001, 5001, 0x10, nil)))
	clk.advance(time.Nanosecond)
	send(t, tx, super(blankTCP(client4, server4, 1001, 5001, 0x18, payload(3000)), hal.GSOTCP4, 1460))
	flush(t, tx)
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	if dev.Captured() != 4 || dev.Lost() != 0 || dev.Err() != nil {
		t.Fatalf("captured %d, lost %d, %v", dev.Captured(), dev.Lost(), dev.Err())
	}
	return buf.Bytes()
}

func TestPcapGolden(t *testing.T) {
	golden := filepath.Join("..", "..", "testdata", "pcap", "handshake.pcapng")
	got := handshake(t)
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the capture (%d bytes) is not %s (%d bytes), byte for byte; look at both, then run with -update", len(got), golden, len(want))
	}
}

func TestPcapContent(t *testing.T) {
	r := pcapng.NewReader(bytes.NewReader(handshake(t)))
	start := newClock().t
	for i, want := range []struct {
		at       time.Duration
		len, cut int
		dir      pcapng.Direction
		comments []string
	}{
		{0, 54, 54, pcapng.Out, nil},
		{1234567, 54, 54, pcapng.In, nil},
		{1235567, 54, 54, pcapng.Out, nil},
		{1235568, 3054, 128, pcapng.Out, []string{
			"truncated to 128 of 3054",
			"super-frame: tcp4, to be cut every 1460 bytes of payload",
			"partial checksum, to be completed by the device",
		}},
	} {
		p, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !p.Time.Equal(start.Add(want.at)) || p.Len != want.len || len(p.Data) != want.cut || p.Dir != want.dir || !slices.Equal(p.Comments, want.comments) {
			t.Errorf("packet %d: %v, %d of %d bytes, %v, %q", i, p.Time.Sub(start), len(p.Data), p.Len, p.Dir, p.Comments)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last packet: %v", err)
	}
}

// What Wireshark's own parser says of our capture.
func TestPcapTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	testenv.Need(t, "tshark", err)
	file := filepath.Join(t.TempDir(), "handshake.pcapng")
	if err := os.WriteFile(file, handshake(t), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tshark, "-n", "-r", file, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=|",
		"-e", "frame.time_epoch", "-e", "frame.interface_name", "-e", "frame.packet_flags_direction", "-e", "frame.len", "-e", "tcp.flags",
		"-e", "ip.checksum.status", "-e", "tcp.checksum.status", "-e", "frame.comment")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || strings.Contains(stderr.String(), "tshark:") {
		t.Fatalf("tshark: %v\n%s", err, &stderr)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 4 {
		t.Fatalf("tshark sees %d packets, want 4:\n%s", len(lines), out)
	}
	for i, want := range [][]string{
		{"1700000000.000000000", "golden", "54|0x0002|1|1|"},
		{"1700000000.001234567", "golden", "54|0x0012|1|1|"},
		{"1700000000.001235567", "golden", "54|0x0010|1|1|"},
		{"1700000000.001235568", "golden", "3054", "0x0018", "truncated to 128 of 3054", "super-frame", "partial checksum"},
	} {
		for _, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("packet %d: tshark says %q, want %q in it", i, lines[i], w)
			}
		}
	}
}

// stuck fails after some writes.
type stuck struct{ left int }

func (s *stuck) Write(p []byte) (int, error) {
	if s.left--; s.left < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestPcapFailureLeavesTrafficAlone(t *testing.T) {
	f := newFake()
	dev := Pcap(f, pcapng.NewWriter(&stuck{left: 2}, ""), PcapOptions{})
	rx, tx := queues(t, dev)
	for n := range 10 {
		f.in = []packet{number(t, n)}
		if got := receive(t, rx); len(got) != 1 {
			t.Fatalf("packet %d was not received", n)
		}
		if !send(t, tx, number(t, n)) {
			t.Fatalf("packet %d was not sent", n)
		}
		flush(t, tx)
	}
	if len(f.out) != 10 || dev.Err() == nil || dev.Lost() == 0 || dev.Lost()+dev.Captured() != 20 {
		t.Errorf("%d sent, %d captured, %d lost, %v", len(f.out), dev.Captured(), dev.Lost(), dev.Err())
	}
}

// Only what the device took was sent, so only that is in the capture.
func TestPcapRecordsWhatPassed(t *testing.T) {
	f := newFake()
	f.ring = 3
	var buf bytes.Buffer
	dev := Pcap(f, pcapng.NewWriter(&buf, ""), PcapOptions{})
	_, tx := queues(t, dev)
	fs := make([]hal.Frame, 64)
	n := 0
	for i := range 5 {
		k, err := tx.Alloc(fs[n:], 600+i)
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	k, err := tx.Tx(fs[:n])
	if err != nil || packets(fs[:k]) != 3 {
		t.Fatalf("Tx took %d packets, %v", packets(fs[:k]), err)
	}
	flush(t, tx)
	if k2, err := tx.Tx(fs[k:n]); k+k2 != n || err != nil {
		t.Fatalf("Tx took %d frames, %v", k2, err)
	}
	dev.Close()
	r := pcapng.NewReader(&buf)
	for i := range 5 {
		p, err := r.Next()
		if err != nil || p.Len != 600+i {
			t.Errorf("packet %d: %d bytes, %v", i, p.Len, err)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("more than was sent: %v", err)
	}
	if is := r.Interfaces(); is[0].Name != "fake:one" {
		t.Errorf("interface %+v", is[0])
	}
}

func TestOpenPcapFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.pcapng")
	w, err := OpenPcap(name)
	if err != nil {
		t.Fatal(err)
	}
	data := handshake(t)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(name); !bytes.Equal(got, data) {
		t.Error("the file is not what was written")
	}
	if _, err := OpenPcap(filepath.Join(t.TempDir(), "none", "x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

func TestSpoolDelivers(t *testing.T) {
	r, w := io.Pipe()
	s := newSpool(w)
	var want []byte
	for i := range 1000 {
		p := fmt.Appendf(nil, "block %d;", i)
		want = append(want, p...)
		if _, err := s.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(r)
		got <- b
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if b := <-got; !bytes.Equal(b, want) {
		t.Errorf("%d bytes arrived of %d", len(b), len(want))
	}
	if err := s.Close(); err != nil {
		t.Error("second Close:", err)
	}
}

// A reader that stops reading must not stop the writer, nor Close.
func TestSpoolOfStalledReader(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	s := newSpool(w)
	block := make([]byte, spoolSize/4)
	var err error
	for range 10 {
		if _, err = s.Write(block); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrBehind) {
		t.Errorf("Write with a reader that is far behind: %v", err)
	}
	if err := s.Close(); !errors.Is(err, ErrBehind) {
		t.Errorf("Close: %v", err)
	}
	<-s.done
}

func TestSpoolOfReaderThatLeaves(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	s := newSpool(w)
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-s.done
	if _, err := s.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Write after the reader has left: %v", err)
	}
	s.Close()
}
