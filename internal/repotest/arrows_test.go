package repotest

import (
	"path"
	"strings"
	"testing"
)

// An arrow says what the packages that match a pattern may import of this
// module, beside what is below themselves in an internal directory.
type arrow struct {
	from string   // of path.Match; the first one that matches counts
	to   []string // of path.Match; "" is the root package
	why  string
}

// arrows is the picture in docs/architecture.md as a table.
var arrows = []arrow{
	{"hal", nil,
		"the contract of devices stands alone: whoever writes a driver needs nothing else"},
	{"hal/offload", []string{"hal"},
		"pure functions over frames, for drivers and stacks alike"},
	{"hal/wrap", []string{"hal", "hal/offload", "hal/wrap/pcapng"},
		"a layer around a device knows neither the stack above nor the driver below"},
	{"hal/wrap/pcapng", nil,
		"a file format knows no devices"},
	{"hal/haltest", []string{"hal", "hal/offload"},
		"the test of all drivers must not know one"},
	{"hal/internal/netif", nil,
		"what drivers of interfaces share knows no driver, and no frames"},
	{"hal/*", []string{"hal", "hal/offload", "hal/internal/netif"},
		"a driver knows the contract only: drivers that import each other cannot be left out of a build one by one"},
	{"api", nil,
		"api defines Transport and Op, and those who execute ops import it: the other way round there would be one transport"},
	{"api/internal/dns", nil,
		"messages are read and made without knowing who sends them"},
	{"api/internal/*", []string{"api"},
		"tests of transports see what transports see"},
	{"kernel", []string{"api"},
		"a transport knows the ops and nothing of our own stack"},
	{"stack/internal/settle", nil,
		"it is about gVisor alone"},
	{"stack/internal/bridge", []string{"hal", "hal/offload"},
		"it joins a device to gVisor, whoever drives it: a host, or somebody else's stack"},
	{"stack/internal/dhcp", nil,
		"a protocol as a state machine, which its owner gives time, dice and messages"},
	{"stack/internal/door", nil,
		"a hook between two packages that knows neither"},
	{"stack/gvisorlink", []string{"hal", "stack", "stack/internal/*"},
		"for people who use gVisor themselves: devices without our host, or into a host"},
	{"stack", []string{"api", "hal", "hal/offload"},
		"a host executes ops on devices it was given; it knows no driver by name"},
	{"sim", []string{"api", "stack", "hal", "hal/offload", "hal/loopback", "hal/wrap", "hal/wrap/pcapng"},
		"a simulation is a driver of hosts, over wires in memory"},
	{"", []string{"api", "hal", "hal/*", "hal/wrap/*", "stack", "kernel"},
		"the root package is where all is put together"},
	{"internal/services", []string{"api", "stack"},
		"services run on either face; of the stack they show the statistics"},
	{"internal/rawbench", []string{"hal", "hal/offload"},
		"it measures devices, without a stack"},
	{"internal/proxy", nil,
		"it joins any two networks that dial and listen; which they are is its caller's business"},
	{"internal/netlab", []string{"hal", "hal/offload"},
		"networks for tests speak frames, and know nothing of what is tested over them"},
	{"internal/e2e", nil, "it runs the command as people do"},
	{"internal/testenv", nil, "every test may import it, so it imports nothing"},
	{"internal/repotest", nil, "it reads the tree as text"},
	{"cmd/*", []string{"", "api", "hal", "hal/*", "stack", "internal/services", "internal/proxy", "internal/rawbench"},
		"a command is a user of the root package"},
	{"examples/internal/*", []string{""},
		"what examples share is the root package's business, and flags"},
	{"examples/*", []string{"", "api", "examples/internal/flags"},
		"an example is a program as others write them: the root package and a face"},
	{"interop/internal/*", []string{"", "internal/netlab", "internal/testenv"},
		"the ends of a test, on a host or on the kernel"},
	{"interop/*", nil, "tests only: the libraries that they bring must not get into programs"},
}

// test support: packages that import "testing" and must not end up in a program.
var testSupport = []string{"hal/haltest", "api/internal/transporttest", "internal/netlab", "internal/testenv", "internal/repotest", "examples/internal/exampletest", "interop/internal/rig"}

func TestArrows(t *testing.T) {
	for _, f := range repo(t).files {
		if f.test {
			continue
		}
		a, ok := arrowOf(f.pkg)
		if !ok {
			t.Errorf("package %q is in no line of the table of arrows: add one that says what it may import, and why", f.pkg)
			continue
		}
		for imp := range f.imports() {
			to, ours := strings.CutPrefix(imp, module)
			to = strings.TrimPrefix(to, "/")
			if ours && !a.allows(f.pkg, to) {
				t.Errorf("%s imports %s: %s may import only %q of this module, because %s", f.name, imp, or(f.pkg, "the root package"), a.to, a.why)
			}
			if ours && matchAny(testSupport, to) && !matchAny(testSupport, f.pkg) {
				t.Errorf("%s imports %s: that is for tests, and would bring package testing and its flags into programs", f.name, imp)
			}
		}
	}
}

func arrowOf(pkg string) (arrow, bool) {
	for _, a := range arrows {
		if matches(a.from, pkg) {
			return a, true
		}
	}
	return arrow{}, false
}

func (a arrow) allows(from, to string) bool {
	// What is internal to a package is a part of it.
	return matchAny(a.to, to) || strings.HasPrefix(to, strings.TrimPrefix(from+"/internal/", "/")) && from != ""
}

func matchAny(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if matches(p, pkg) {
			return true
		}
	}
	return false
}

func matches(pattern, pkg string) bool {
	ok, _ := path.Match(pattern, pkg)
	return ok
}

// A border says which packages may import what is under a path that is not ours.
type border struct {
	path string // and everything below
	from []string
	why  string
}

var borders = []border{
	{"gvisor.dev/gvisor", []string{"stack", "stack/internal/*", "stack/gvisorlink"},
		"gVisor's API changes without notice, so one corner of the module follows it"},
	{"github.com/spf13", []string{"cmd/*"},
		"whoever uses the library gets no command line with it"},
	{"github.com/songgao/water", []string{"hal/tap"},
		"only the TAP driver makes TAP devices"},
	{"github.com/cilium/ebpf", []string{"hal/afxdp"},
		"only the AF_XDP driver loads programs into the kernel"},
	{"github.com/vishvananda", []string{"hal/tap", "hal/packet", "hal/afxdp", "hal/internal/netif", "internal/netlab"},
		"only drivers of the kernel's devices, and tests, configure the kernel"},
	{"golang.org/x/net", []string{"api/internal/dns"},
		"DNS messages are parsed by the code that package net uses too, and that imports nothing; the rest of that module is for tests"},
	{"github.com/insomniacslk/dhcp", []string{"stack/internal/dhcp"},
		"it is the codec of the DHCP client; what else that module does is done by hosts and devices here"},
	{"golang.org/x/sys", []string{"hal/*", "hal/internal/netif", "internal/netlab", "internal/rawbench", "kernel", "cmd/*"},
		"system calls are the business of drivers"},
	{"C", []string{"hal/dpdk"},
		"all but DPDK is pure Go and builds with CGO_ENABLED=0"},
	{"unsafe", []string{"hal/tap", "hal/packet", "hal/afxdp", "hal/dpdk", "internal/rawbench", "stack/internal/settle"},
		"memory is shared with the kernel, with C and with gVisor's processors, and nowhere else"},
	{"go.uber.org/goleak", []string{"interop/internal/rig"},
		"leaks are looked for in tests"},
	{"testing", append([]string{"sim"}, testSupport...),
		"package testing registers flags, which do not belong into programs"},
	{"log", nil,
		"a library logs to the *slog.Logger it was given, and is silent without one"},
}

// stdOnly import the standard library and this module only.
var stdOnly = []string{"hal", "hal/offload", "hal/loopback", "hal/wrap", "hal/wrap/*", "api", "internal/services", "internal/proxy", "internal/testenv"}

func TestBorders(t *testing.T) {
	for _, f := range repo(t).files {
		if f.test {
			continue
		}
		for imp := range f.imports() {
			for _, b := range borders {
				if (imp == b.path || strings.HasPrefix(imp, b.path+"/") && b.path != "log" && b.path != "testing") && !matchAny(b.from, f.pkg) {
					t.Errorf("%s imports %s, which only %q may: %s", f.name, imp, b.from, b.why)
				}
			}
			if foreign(imp) && matchAny(stdOnly, f.pkg) {
				t.Errorf("%s imports %s: %s imports only the standard library and this module, so that everybody can afford it", f.name, imp, f.pkg)
			}
		}
	}
}

// foreign reports whether a package is neither ours nor the standard library's,
// whose paths have no dot in their first element.
func foreign(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return strings.Contains(first, ".") && imp != module && !strings.HasPrefix(imp, module+"/")
}

// TestTablesNameOurPackages looks that the tables name packages that are there, or that
// the design has announced.
func TestTablesNameOurPackages(t *testing.T) {
	planned := []string{"kernel", "sim", "hal/dpdk"}
	there := repo(t).packages()
	check := func(pattern string) {
		for pkg := range there {
			if matches(pattern, pkg) {
				return
			}
		}
		if !matchAny(planned, pattern) {
			t.Errorf("the tables name %q, and there is no such package: remove it, so that they can be believed", pattern)
		}
	}
	for _, a := range arrows {
		check(a.from)
		for _, to := range a.to {
			check(to)
		}
	}
	for _, b := range borders {
		for _, from := range b.from {
			check(from)
		}
	}
	for _, pkg := range stdOnly {
		check(pkg)
	}
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
