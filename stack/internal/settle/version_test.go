package settle

import (
	"runtime/debug"
	"testing"
)

// TestVersionHere fails when the module's gVisor is not Tested: then hosts have
// fallen back to the barrier, and so have most tests.
func TestVersionHere(t *testing.T) {
	if version, tested := Version(); version != Tested || !tested {
		t.Errorf("this binary has gVisor %q, tested: %v; inline processing was tested with %s. "+
			"After an upgrade: get the other tests of this package to pass, then set Tested.", version, tested, Tested)
	}
}

func TestVersionOf(t *testing.T) {
	const file = "/home/me/go/pkg/mod/gvisor.dev/gvisor@v0.0.0-1/pkg/tcpip/transport/tcp/protocol.go"
	deps := func(ms ...*debug.Module) *debug.BuildInfo { return &debug.BuildInfo{Deps: ms} }
	other := &debug.Module{Path: "gvisor.dev/gvisor/other", Version: "v9"}
	for name, c := range map[string]struct {
		info *debug.BuildInfo
		file string
		want string
	}{
		"a program":          {deps(other, &debug.Module{Path: module, Version: "v2"}), file, "v2"},
		"replaced":           {deps(&debug.Module{Path: module, Version: "v2", Replace: &debug.Module{Path: "../gvisor"}}), file, "v2 (replaced)"},
		"a test binary":      {deps(), file, "v0.0.0-1"},
		"trimmed paths":      {deps(), "gvisor.dev/gvisor@v0.0.0-1/pkg/tcpip/transport/tcp/protocol.go", "v0.0.0-1"},
		"no build info":      {nil, file, "v0.0.0-1"},
		"replaced in a test": {deps(), "/home/me/gvisor/pkg/tcpip/transport/tcp/protocol.go", ""},
		"nothing tells":      {nil, "", ""},
	} {
		if got := versionOf(c.info, c.file); got != c.want {
			t.Errorf("%s: version %q, want %q", name, got, c.want)
		}
	}
}
