package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// The loopback interface is everywhere, and no driver of the kernel's devices can use
// it: there is a problem to tell.
func TestInspect(t *testing.T) {
	got := runLine("drivers afxdp:lo")
	if got.code != 0 || !strings.HasPrefix(got.out, "afxdp:lo\n! link") || !strings.Contains(got.out, "\nlink: interface lo carries no Ethernet frames") {
		t.Errorf("%+v", got)
	}
	var i inspection
	if got := runLine("drivers --json afxdp:lo"); got.code != 0 || json.Unmarshal([]byte(got.out), &i) != nil {
		t.Fatalf("%+v", got)
	}
	if i.Spec != "afxdp:lo" || i.Ready || len(i.Facts) == 0 {
		t.Errorf("%+v", i)
	}
	for _, f := range i.Facts {
		if f.Name == "" || f.Value == "" {
			t.Errorf("a fact without a name or a value: %+v", f)
		}
	}
	if got := runLine("drivers afxdp:no-such-if"); got.code != 2 || !strings.Contains(got.err, "there is no interface no-such-if") {
		t.Errorf("%+v", got)
	}
}
