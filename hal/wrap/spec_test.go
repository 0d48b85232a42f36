package wrap

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseFaults(t *testing.T) {
	for _, c := range []struct {
		text string
		want Faults
	}{
		{"", Faults{}},
		{"drop=2%", Faults{Drop: 0.02}},
		{"drop=0.02", Faults{Drop: 0.02}},
		{"drop=100%", Faults{Drop: 1}},
		{"drop=1", Faults{Drop: 1}},
		{"drop=0%", Faults{}},
		{"drop=2%,delay=2ms,jitter=1ms,dup=1%,corrupt=1%,reorder=2%,rate=10mbit,queue=5,dir=tx", Faults{
			Drop: 0.02, Dup: 0.01, Corrupt: 0.01, Reorder: 0.02, Delay: 2 * time.Millisecond,
			Jitter: time.Millisecond, Rate: 10_000_000, Queue: 5, Dir: Tx,
		}},
		{"drop=1%,burst=2.5", Faults{Drop: 0.01, Burst: 2.5}},
		{"dir=both", Faults{}},
		{"dir=rx", Faults{Dir: Rx}},
		{"rate=2.5gbit", Faults{Rate: 2_500_000_000}},
		{"rate=1000gbit", Faults{Rate: 1_000_000_000_000}},
		{"rate=9600bit", Faults{Rate: 9600}},
	} {
		f, err := ParseFaults(c.text)
		if err != nil || f != c.want {
			t.Errorf("ParseFaults(%q) = %+v, %v; want %+v", c.text, f, err, c.want)
		}
		if back, err := ParseFaults(f.String()); err != nil || back != f {
			t.Errorf("%q prints as %q, which reads as %+v, %v", c.text, f.String(), back, err)
		}
	}
}

func TestParseFaultsErrors(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"drop=200%", "drop=200%: must be from 0% to 100%"},
		{"drop=2", "fraction from 0 to 1"},
		{"drop=-1%", "0% to 100%"},
		{"drop=NaN", "0% to 100%"},
		{"drop", "0% to 100%"},
		{"loss=1%", `unknown key "loss"; known: drop, burst, dup, corrupt, reorder, delay, jitter, rate, queue, dir`},
		{"drop=1%,", `unknown key ""`},
		{"drop=1%,drop=2%", "drop stands twice"},
		{"delay=2", "duration from 0s to 1h0m0s"},
		{"delay=-2ms", "duration from"},
		{"jitter=2h", "duration from"},
		{"burst=3", "without losses"},
		{"drop=1%,burst=0.5", "from 1 to"},
		{"drop=1%,burst=NaN", "from 1 to"},
		{"rate=10", "1bit to 1000gbit"},
		{"rate=0mbit", "1bit to 1000gbit"},
		{"rate=2000gbit", "1bit to 1000gbit"},
		{"rate=10Mb", "1bit to 1000gbit"},
		{"queue=9", "without a rate"},
		{"rate=1mbit,queue=0", "from 1 to 1000000"},
		{"dir=up", "both, tx, rx"},
	} {
		_, err := ParseFaults(c.text)
		if !errors.Is(err, ErrFaults) {
			t.Errorf("ParseFaults(%q): %v, want ErrFaults", c.text, err)
			continue
		}
		if msg := err.Error(); !strings.Contains(msg, c.says) || strings.Contains(msg, "\n") {
			t.Errorf("ParseFaults(%q) says %q, want one line with %q", c.text, msg, c.says)
		}
	}
}

func FuzzParseFaults(f *testing.F) {
	f.Add("drop=2%,delay=2ms,jitter=1ms,dup=1%,corrupt=1%,reorder=2%,rate=10mbit,queue=5,dir=tx")
	f.Add("drop=0.1234567890123456789,rate=1.5kbit")
	f.Fuzz(func(t *testing.T, text string) {
		faults, err := ParseFaults(text)
		if err != nil {
			return
		}
		back, err := ParseFaults(faults.String())
		if err != nil || back != faults {
			t.Fatalf("%q prints as %q, which reads as %+v, %v", text, faults.String(), back, err)
		}
	})
}
