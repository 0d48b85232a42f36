package hal

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// A Driver opens devices of one kind. A driver's package registers it in an
// init function, so that a blank import makes it available to [Open].
type Driver struct {
	Name    string // what stands before the colon of a spec
	Summary string // one line, for people
	Target  string // what stands after the colon, for people: "interface name"
	Keys    []Key  // what may stand after the question mark

	// Open opens a device. The spec has been checked against Keys.
	Open func(Spec) (Device, error)

	// Probe says whether the driver can work on this machine: nil, or an
	// error whose text names what is missing and the command that gets it.
	// It changes nothing. A nil Probe means that the driver works everywhere.
	Probe func() error

	// Inspect says what the driver finds at a target, for people who decide
	// whether and how to open it: the names are the same for every target,
	// and where something stands in the way the Fact has a Problem. It opens
	// nothing and changes nothing. Optional.
	Inspect func(Spec) ([]Fact, error)
}

// A Fact is something a driver found out about a target.
type Fact struct {
	Name    string // lower case: "kernel driver"
	Value   string
	Problem string // why it stands in the way, and the command that helps; empty: it does not
}

var (
	driversMu sync.RWMutex
	drivers   = map[string]Driver{}
)

// Register makes a driver known by its name. It panics if the name is taken or
// Open is missing: both are mistakes of the program.
func Register(d Driver) {
	driversMu.Lock()
	defer driversMu.Unlock()
	if d.Open == nil {
		panic("hal: Register of a driver without Open: " + d.Name)
	}
	if _, dup := drivers[d.Name]; dup {
		panic("hal: Register called twice for driver " + d.Name)
	}
	drivers[d.Name] = d
}

// Drivers returns the registered drivers, sorted by name.
func Drivers() []Driver {
	driversMu.RLock()
	defer driversMu.RUnlock()
	return slices.SortedFunc(maps.Values(drivers), func(a, b Driver) int { return strings.Compare(a.Name, b.Name) })
}

// Open opens the device that a spec names; see [ParseSpec] for its form. The
// device belongs to the caller.
func Open(spec string) (Device, error) {
	s, err := ParseSpec(spec)
	if err != nil {
		return nil, err
	}
	driversMu.RLock()
	d := drivers[s.Driver]
	driversMu.RUnlock()
	dev, err := d.Open(s)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", spec, err)
	}
	return dev, nil
}
