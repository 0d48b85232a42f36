//go:build dpdk && cgo && linux

package dpdk

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// eal is DPDK's environment, of which a process has one. Its lock also keeps those
// calls apart that change which ports there are.
var eal struct {
	sync.Mutex
	running bool
	environment
	log   logbook
	pools int // how many were made, for their names
	cable map[string]*cable
	late  []*pool // of closed ports; somebody else still has buffers of them
}

// startEAL starts the environment for a port, or checks that the one that runs
// will do. A start that failed because of its arguments can be tried again.
// The caller holds eal's lock.
func startEAL(p plan) error {
	if eal.running {
		return eal.admits(p)
	}
	cpus, err := processors()
	if err != nil {
		return err
	}
	e := environment{huge: p.Huge == "on", lcores: p.Lcores, pci: p.card, extra: p.EAL}
	if e.lcores == "" {
		e.lcores = floating(cpus)
	}
	if p.Huge == "" || p.Huge == "auto" {
		e.huge = hugeFree() >= enoughHuge
	}
	if err := eal.log.open(); err != nil {
		return err
	}
	eal.log.forget()
	if err := unmoved(func() error { return ealInit(e.arguments(fmt.Sprintf("ringtail.%d", os.Getpid()))) }); err != nil {
		return e.explain(err, eal.log.said())
	}
	eal.running, eal.environment = true, e
	// Nobody can meet us there. What is not empty is somebody else's.
	_ = os.Remove(C.GoString(C.rt_eal_runtime_dir()))
	return nil
}

// explain says why EAL did not start.
func (e environment) explain(err error, said string) error {
	switch {
	case errors.Is(err, unix.EALREADY):
		return fmt.Errorf("DPDK's environment was started, or failed for good, by somebody else in this process: %w", err)
	case e.huge && hugeFree() < enoughHuge:
		return fmt.Errorf("DPDK's environment found too few hugepages (echo 256 > /proc/sys/vm/nr_hugepages, or huge=off)%s: %w", said, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("DPDK's environment was not allowed to start (run as root)%s: %w", said, err)
	}
	return fmt.Errorf("DPDK's environment did not start with %q%s: %w", strings.Join(e.arguments("…")[1:], " "), said, err)
}

// unmoved calls f on a thread that is where it was afterwards: EAL binds the one
// that starts it to a processor, and goroutines would run there later.
func unmoved(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var was unix.CPUSet
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		return err
	}
	err := f()
	return errors.Join(err, unix.SchedSetaffinity(0, &was))
}

// processors are those that this process may use.
func processors() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(os.Getpid(), &set); err != nil {
		return nil, fmt.Errorf("looking which processors there are: %w", err)
	}
	var cpus []int
	for i := range 1024 {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return cpus, nil
}

// enoughHuge is how many bytes of free hugepages are worth to use them.
const enoughHuge = 128 << 20

// hugeFree is how many bytes of hugepages of 2 MB are free.
func hugeFree() int {
	data, err := os.ReadFile("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return n << 21
}

// probe looks whether ports can be opened, as far as one can tell without starting
// anything.
func probe() error {
	if unix.Geteuid() != 0 {
		return fmt.Errorf("DPDK needs to run as root, or with the capabilities of its devices, and a folder of its own ($XDG_RUNTIME_DIR): %w", unix.EPERM)
	}
	return nil
}

// unplugged wraps the error of a device that could not be made.
func (p plan) refused(err error, said string) error {
	switch {
	case p.card:
		return fmt.Errorf("card %s: bind it to vfio-pci first (dpdk-devbind.py --bind=vfio-pci %s; see docs/dpdk.md)%s: %w", p.Name, p.Name, said, err)
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("device %s is open in this process already: use another number: %w", p.Name, err)
	case kinds[p.driver].args == nil && !strings.HasPrefix(p.driver, "net_"):
		return fmt.Errorf("device %s%s: %w: %w", p.Name, said, hal.ErrNotSupported, err)
	}
	return fmt.Errorf("device %s (is the driver installed? apt-get install librte-%s23)%s: %w",
		p.Name, strings.ReplaceAll(strings.ReplaceAll(p.driver, "_user", ""), "_", "-"), said, err)
}

// ports is how many there are in this process.
func ports() int { return int(C.rt_port_count()) }
