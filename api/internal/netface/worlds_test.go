package netface

import (
	"testing"

	"github.com/ringtail-net/ringtail/internal/testenv"
)

// everywhere runs a test on package net and on ours, over a wire in memory: what
// holds there holds here. To the kernel's it runs where that
// can be (toTheKernel), and with IPv6 in the long form.
func everywhere(t *testing.T, test func(t *testing.T, w world)) {
	for _, addrs := range [][3]string{{"127.0.0.1", "10.0.0.1/24", "10.0.0.2/24"}, {"::1", "fd00::1/64", "fd00::2/64"}} {
		family := "IPv4"
		if addrs[0] == "::1" {
			if family = "IPv6"; !testenv.Long() {
				continue
			}
		}
		t.Run("package net, "+family, func(t *testing.T) {
			t.Parallel()
			test(t, kernelHere(t, addrs[0]))
		})
		t.Run("wire, "+family, func(t *testing.T) {
			t.Parallel()
			w, hosts := onWire(t, addrs[1], addrs[2])
			t.Run("", func(t *testing.T) { test(t, w) })
			nothingLeft(t, hosts[:])
		})
	}
	toTheKernel(t, test)
}
