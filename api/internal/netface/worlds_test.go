package netface

import (
	"runtime"
	"testing"
)

// everywhere runs a test on package net and on ours, over a wire in memory: what
// holds there holds here. Over a TAP it runs where there are TAPs (onTAPToo).
func everywhere(t *testing.T, test func(t *testing.T, w world)) {
	t.Run("package net", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("its errnos have other numbers")
		}
		t.Parallel()
		test(t, kernelHere("127.0.0.1"))
	})
	t.Run("wire", func(t *testing.T) {
		t.Parallel()
		w, hosts := onWire(t, "10.0.0.1/24", "10.0.0.2/24")
		t.Run("", func(t *testing.T) { test(t, w) })
		nothingLeft(t, hosts[:])
	})
	onTAPToo(t, test)
}
