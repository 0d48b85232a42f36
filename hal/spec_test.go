package hal_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail/hal"
)

func init() {
	hal.Register(hal.Driver{
		Name:   "sample",
		Target: "anything",
		Keys: []hal.Key{
			hal.IntKey("n", -1, 9, "a number"),
			hal.BoolKey("b", "a switch"),
			hal.EnumKey("e", "a word", "left", "right"),
			hal.TextKey("t", "a text"),
			hal.PrefixKey("p", "addresses"),
			{Name: "free", Help: "anything"},
		},
		Open: func(s hal.Spec) (hal.Device, error) {
			if s.Target == "broken" {
				return nil, hal.ErrNotSupported
			}
			return &bare{}, nil
		},
	})
	hal.Register(hal.Driver{Name: "keyless", Open: func(hal.Spec) (hal.Device, error) { return &bare{}, nil }})
}

func TestParseSpec(t *testing.T) {
	for _, c := range []struct {
		text   string
		target string
		check  func(hal.Spec) bool
	}{
		{"sample:", "", func(s hal.Spec) bool { return s.Int("n", 5) == 5 && s.Text("t", "x") == "x" }},
		{"sample:rt0", "rt0", func(s hal.Spec) bool { return !s.Bool("b", false) && s.Bool("b", true) }},
		{"sample:?", "", func(s hal.Spec) bool { return s.Texts("p") == nil }},
		{"sample:a:b/c", "a:b/c", nil},
		{"sample:a%3fb%25?t=x%26y%3Dz", "a?b%", func(s hal.Spec) bool { return s.Text("t", "") == "x&y=z" }},
		{"sample:?t=a=b+c", "", func(s hal.Spec) bool { return s.Text("t", "") == "a=b+c" }},
		{"sample:?n=-1&b&e=right", "", func(s hal.Spec) bool { return s.Int("n", 5) == -1 && s.Bool("b", false) && s.Text("e", "") == "right" }},
		{"sample:?b=off", "", func(s hal.Spec) bool { return !s.Bool("b", true) }},
		{"sample:?&&n=1&", "", func(s hal.Spec) bool { return s.Int("n", 0) == 1 }},
		{"sample:?free", "", func(s hal.Spec) bool { return s.Text("free", "") == "on" }},
		{"sample:?free=", "", func(s hal.Spec) bool { return s.Text("free", "x") == "" }},
		{"sample:?p=10.77.0.1/24&p=fd00::1/64", "", func(s hal.Spec) bool {
			return len(s.Prefixes("p")) == 2 && s.Prefixes("p")[1].String() == "fd00::1/64" &&
				slices.Equal(s.Texts("p"), []string{"10.77.0.1/24", "fd00::1/64"})
		}},
		{"keyless:x", "x", nil},
	} {
		s, err := hal.ParseSpec(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if s.Target != c.target || c.check != nil && !c.check(s) {
			t.Errorf("%s: parsed as %+v", c.text, s)
		}
	}
}

func TestParseSpecErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string // in the error
	}{
		{"", []string{`unknown driver ""`, "cable, keyless, sample"}},
		{"tpa:rt0", []string{`unknown driver "tpa"`, "known:", "cable, keyless, sample"}},
		{"sample", []string{"colon", "sample:TARGET", "anything"}},
		{"sample:?mtu=1", []string{`no key "mtu"`, "known: n, b, e, t, p, free"}},
		{"keyless:?mtu=1", []string{`no key "mtu"`, "known: none"}},
		{"sample:?n=10", []string{"n=10", "from -1 to 9"}},
		{"sample:?n=1.5", []string{"whole number"}},
		{"sample:?n", []string{"n=on", "whole number"}},
		{"sample:?b=yes", []string{"b=yes", "on, off"}},
		{"sample:?e=up", []string{"left, right"}},
		{"sample:?t=", []string{"missing"}},
		{"sample:?p=10.0.0.1", []string{"p=10.0.0.1", "prefix length"}},
		{"sample:?n=1&n=1", []string{`"n" stands twice`}},
		{"sample:%zz", []string{"%zz"}},
		{"sample:?t=%2", []string{"%2"}},
	} {
		_, err := hal.ParseSpec(c.text)
		if !errors.Is(err, hal.ErrSpec) {
			t.Errorf("%q: %v, want a hal.ErrSpec", c.text, err)
			continue
		}
		for _, want := range append(c.want, c.text) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: the error %q does not say %q", c.text, err, want)
			}
		}
	}
}

func TestOpen(t *testing.T) {
	if _, err := hal.Open("sample:x?n=1"); err != nil {
		t.Error(err)
	}
	if _, err := hal.Open("nope:x"); !errors.Is(err, hal.ErrSpec) {
		t.Errorf("unknown driver: %v", err)
	}
	_, err := hal.Open("sample:broken")
	if !errors.Is(err, hal.ErrNotSupported) || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "sample:broken") {
		t.Errorf("error of a driver: %v", err)
	}
}

func TestRegister(t *testing.T) {
	names := []string{}
	for _, d := range hal.Drivers() {
		names = append(names, d.Name)
	}
	if !slices.IsSorted(names) || !slices.Contains(names, "sample") {
		t.Errorf("Drivers: %v", names)
	}
	for _, d := range []hal.Driver{
		{Name: "sample", Open: func(hal.Spec) (hal.Device, error) { return nil, nil }},
		{Name: "unopenable"},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Register(%q) does not panic", d.Name)
				}
			}()
			hal.Register(d)
		}()
	}
}

// Whatever the text, parsing ends with a spec that keeps its keys' promises or
// with an ErrSpec.
func FuzzParseSpec(f *testing.F) {
	for _, s := range []string{"sample:rt0?n=3&p=10.0.0.1/8&b", "sample:%25?t=%26", "x:", ":", "sample:?n=1&n=2", "sample:?=&?"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := hal.ParseSpec(text)
		if err != nil {
			if !errors.Is(err, hal.ErrSpec) {
				t.Fatalf("not a hal.ErrSpec: %v", err)
			}
			return
		}
		if n := s.Int("n", 0); n < -1 || n > 9 {
			t.Errorf("n=%d is out of range", n)
		}
		if e := s.Text("e", "left"); e != "left" && e != "right" {
			t.Errorf("e=%q", e)
		}
		if len(s.Prefixes("p")) != len(s.Texts("p")) {
			t.Errorf("prefixes %v of texts %q", s.Prefixes("p"), s.Texts("p"))
		}
		if len(s.Texts("t")) > 1 {
			t.Errorf("t stands %d times", len(s.Texts("t")))
		}
	})
}
