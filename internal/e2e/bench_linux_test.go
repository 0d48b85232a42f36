package e2e

import (
	"encoding/json"
	"os/exec"
	"testing"
)

// TestBenchRaw measures every driver for a moment: that there are figures, not
// which.
func TestBenchRaw(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"loopback", "tap", "packet", "afxdp"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			wire{driver: driver}.needs(t)
			out, err := exec.Command(binary, "bench", "raw", "--hal", driver+":", "--time", "20ms", "--rounds", "1", "--json").Output()
			if err != nil {
				t.Fatal(err)
			}
			var rows []struct {
				Direction, Mode string
				Size            int
				Device, Plain   struct {
					PerSecond float64 `json:"frames_per_second"`
					CPU       float64 `json:"cpu_ns_per_frame"`
				}
			}
			if err := json.Unmarshal(out, &rows); err != nil || len(rows) != 4 {
				t.Fatalf("%v, %d rows\n%s", err, len(rows), out)
			}
			for _, r := range rows {
				if r.Device.PerSecond <= 0 || r.Device.CPU <= 0 || r.Plain.PerSecond <= 0 || r.Plain.CPU <= 0 || r.Mode == "" {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}
