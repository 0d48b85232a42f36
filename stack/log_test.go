package stack

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	gvisor "gvisor.dev/gvisor/pkg/log"
)

func TestGVisorLogsToTheHost(t *testing.T) {
	var buf bytes.Buffer
	h, err := New(Config{Logger: slog.New(slog.NewTextHandler(&buf, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	gvisor.Warningf("port %d is in use", 7)
	if got := buf.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "gvisor: port 7 is in use") {
		t.Errorf("logged %q", got)
	}
}
