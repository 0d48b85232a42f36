// Package testenv says what a test run may expect of its machine.
//
// A test that needs more than a plain Go installation calls Need with what it
// found: where the need is not met the test is skipped, with the reason, unless
// the environment variable RINGTAIL_REQUIRE names the feature. CI sets that
// variable, so that there a skip is a failure:
//
//	testenv.Need(t, "tap", netlab.Available())
//
// Long forms of tests (soaks, sweeps, fuzzing) ask Long. The trap: the flag
// exists only in test binaries that import this package, so name packages when
// you pass it: go test ./stack -ringtail.long.
package testenv

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var long = flag.Bool("ringtail.long", false, "run the long forms of tests")

// Long reports whether the long forms of tests were asked for.
func Long() bool { return *long }

// Need skips the test if err says that feature ("tap", "packet", "afxdp",
// "dpdk") is missing here, or fails it where the feature is required.
func Need(t testing.TB, feature string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if Required(feature) {
		t.Fatalf("%s is required (RINGTAIL_REQUIRE) but missing: %v", feature, err)
	}
	t.Skipf("needs %s: %v", feature, err)
}

// Required reports whether RINGTAIL_REQUIRE names the feature.
func Required(feature string) bool {
	return slices.Contains(strings.Split(os.Getenv("RINGTAIL_REQUIRE"), ","), feature)
}
