package settle

import (
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

const golden = "testdata/trace.txt"

// TestTrace hashes every frame, with its time and its fate, that two hosts
// exchange on a wire that loses some. It is the same in every form and with any
// number of Ps: nothing is left to the scheduler. And it is the same as last
// time: gVisor has not changed what it sends, or when.
func TestTrace(t *testing.T) {
	if *update {
		text := fmt.Sprintf("%s %s\n", Tested, trace(t, forms[0]))
		if err := os.WriteFile(golden, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	version, want, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	forEachForm(t, func(t *testing.T, form form) {
		for _, procs := range []int{1, 2, 4} {
			withProcs(t, procs, func(t *testing.T) {
				if got := trace(t, form); got != want {
					t.Errorf("trace %s", got)
				}
			})
		}
	})
	if t.Failed() {
		t.Errorf("The trace was %s with gVisor %s. If it is another one but the same in all cases, gVisor sends something else now: "+
			"see what, and run this test with -update. If it differs, something is left to the scheduler.", want, version)
	}
}

// trace has connections echo data, all at once, over a wire that loses 2 % of
// the frames, and returns the hash of what was on the wire.
func trace(t *testing.T, form form) string {
	t.Helper()
	w := newWorld(t, form, 42, 0.02)
	defer w.close()
	sum := sha256.New()
	w.sent = func(from int, frame []byte, lost bool) {
		binary.Write(sum, binary.BigEndian, struct {
			At, From, Len int64
			Lost          bool
		}{int64(w.now), int64(from), int64(len(frame)), lost})
		sum.Write(frame)
	}
	listen(t, w.hosts[1], 80, echo)
	var checks []func()
	for i := range 8 {
		data := randomBytes(64<<10, uint64(i))
		c := request(t, w.hosts[0], 80, data)
		checks = append(checks, func() { c.echoed(t, data) })
	}
	w.finish()
	for _, check := range checks {
		check()
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}
