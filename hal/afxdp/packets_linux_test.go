package afxdp

import (
	"bytes"
	"testing"
	"time"

	"github.com/ringtail-net/ringtail/hal"
)

// broadcast makes a packet of an EtherType for experiments (IEEE Std 802), which
// nobody else sends.
func broadcast(size int) []byte {
	p := append([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5"), bytes.Repeat([]byte("x"), size)...)
	return p[:size]
}

func halves(t testing.TB, dev hal.Device) (hal.RxQueue, hal.TxQueue) {
	t.Helper()
	rx, tx, err := dev.Queue(0)
	if err != nil {
		t.Fatal(err)
	}
	return rx, tx
}

func sleeper(t testing.TB, dev hal.Device) hal.Sleeper {
	t.Helper()
	s, err := hal.NewSleeper(dev)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// fill gives a packet to the transmit half, and reports whether it took it.
func fill(t testing.TB, tx hal.TxQueue, packet []byte) bool {
	t.Helper()
	fs := make([]hal.Frame, 8)
	n, err := tx.Alloc(fs, len(packet))
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		return false
	}
	for i := range fs[:n] {
		packet = packet[copy(fs[i].Data, packet):]
	}
	sent, err := tx.Tx(fs[:n])
	if err != nil {
		t.Fatal(err)
	}
	tx.Release(fs[sent:n])
	return sent == n
}

// send is fill and the doorbell.
func send(t testing.TB, tx hal.TxQueue, packet []byte) bool {
	t.Helper()
	ok := fill(t, tx, packet)
	if err := tx.Flush(); err != nil {
		t.Fatal(err)
	}
	return ok
}

// eventually waits for something to be so.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(guard); !f(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", guard, what)
		}
	}
}
