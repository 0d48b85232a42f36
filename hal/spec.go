package hal

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Spec names a device on a command line:
//
//	driver:target?key=value&key=value…
//
// as in "tap:rt0?host=10.77.0.1/24" or "loopback:lan". A key without a value
// means "on". A percent sign starts an escape as in a URL's path (%26 is &).
type Spec struct {
	Driver string
	Target string
	values map[string][]string
}

// A Key is one option of a spec, declared by its driver.
type Key struct {
	Name  string
	Help  string             // one line
	Many  bool               // may stand more than once
	Check func(string) error // nil: any text
}

// ParseSpec reads a spec and checks it against the registered drivers: an
// unknown driver, an unknown key or a value out of range is an error that lists
// what is known. All errors wrap ErrSpec.
func ParseSpec(text string) (Spec, error) {
	fail := func(format string, args ...any) (Spec, error) {
		return Spec{}, fmt.Errorf("%w %q: %s", ErrSpec, text, fmt.Sprintf(format, args...))
	}
	name, rest, found := strings.Cut(text, ":")
	driversMu.RLock()
	d, ok := drivers[name]
	driversMu.RUnlock()
	if !ok {
		names := make([]string, 0, 8)
		for _, d := range Drivers() {
			names = append(names, d.Name)
		}
		return fail("unknown driver %q; known: %s", name, list(names))
	}
	if !found {
		return fail("a colon is missing after the driver's name: %s:TARGET (%s)", name, d.Target)
	}
	target, query, _ := strings.Cut(rest, "?")
	s := Spec{Driver: name, values: map[string][]string{}}
	var err error
	if s.Target, err = url.PathUnescape(target); err != nil {
		return fail("%v", err)
	}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		k, v, valued := strings.Cut(pair, "=")
		if !valued {
			v = "on"
		}
		if v, err = url.PathUnescape(v); err != nil {
			return fail("%v", err)
		}
		i := slices.IndexFunc(d.Keys, func(key Key) bool { return key.Name == k })
		if i < 0 {
			names := make([]string, len(d.Keys))
			for i := range d.Keys {
				names[i] = d.Keys[i].Name
			}
			return fail("driver %s has no key %q; known: %s", name, k, list(names))
		}
		if len(s.values[k]) > 0 && !d.Keys[i].Many {
			return fail("key %q stands twice", k)
		}
		if check := d.Keys[i].Check; check != nil {
			if err := check(v); err != nil {
				return fail("%s=%s: %v", k, v, err)
			}
		}
		s.values[k] = append(s.values[k], v)
	}
	return s, nil
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Text returns the value of a key, or def if it was not given.
func (s Spec) Text(key, def string) string {
	if v := s.values[key]; len(v) > 0 {
		return v[0]
	}
	return def
}

// Texts returns all values of a key that may stand more than once.
func (s Spec) Texts(key string) []string { return slices.Clone(s.values[key]) }

// Int returns the number of an [IntKey], or def.
func (s Spec) Int(key string, def int) int {
	if n, err := strconv.Atoi(s.Text(key, "")); err == nil {
		return n
	}
	return def
}

// Bool returns the value of a [BoolKey], or def.
func (s Spec) Bool(key string, def bool) bool {
	switch s.Text(key, "") {
	case "on":
		return true
	case "off":
		return false
	}
	return def
}

// Prefixes returns the values of a [PrefixKey].
func (s Spec) Prefixes(key string) []netip.Prefix {
	var ps []netip.Prefix
	for _, v := range s.values[key] {
		if p, err := netip.ParsePrefix(v); err == nil {
			ps = append(ps, p)
		}
	}
	return ps
}

// TextKey is a key whose value is any text but the empty one.
func TextKey(name, help string) Key {
	return Key{Name: name, Help: help, Check: func(v string) error {
		if v == "" {
			return fmt.Errorf("the value is missing")
		}
		return nil
	}}
}

// IntKey is a key whose value is a whole number from lo to hi.
func IntKey(name string, lo, hi int, help string) Key {
	return Key{Name: name, Help: help, Check: func(v string) error {
		if n, err := strconv.Atoi(v); err != nil || n < lo || n > hi {
			return fmt.Errorf("must be a whole number from %d to %d", lo, hi)
		}
		return nil
	}}
}

// BoolKey is a key that is on or off; without a value it is on.
func BoolKey(name, help string) Key { return EnumKey(name, help, "on", "off") }

// EnumKey is a key whose value is one of a few words.
func EnumKey(name, help string, words ...string) Key {
	return Key{Name: name, Help: help, Check: func(v string) error {
		if !slices.Contains(words, v) {
			return fmt.Errorf("must be one of %s", list(words))
		}
		return nil
	}}
}

// PrefixKey is a key whose value is an address with a prefix length, such as
// 10.77.0.1/24. It may stand more than once.
func PrefixKey(name, help string) Key {
	return Key{Name: name, Help: help, Many: true, Check: func(v string) error {
		if _, err := netip.ParsePrefix(v); err != nil {
			return fmt.Errorf("must be an address with a prefix length, as in 10.77.0.1/24 or fd00::1/64")
		}
		return nil
	}}
}
