package api_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/internal/netlab"
	"github.com/ringtail-net/ringtail/internal/testenv"
)

// machineFiles are the files of a machine that say something about names, with
// lies for them.
var machineFiles = map[string]string{
	"/etc/hosts":         "192.0.2.66 www.test nobody.test localhost\n",
	"/etc/resolv.conf":   "nameserver 192.0.2.67\nsearch evil.test\n",
	"/etc/nsswitch.conf": "hosts: files dns\nservices: files\n",
	"/etc/services":      "http 6666/tcp\nevil 6667/tcp\n",
}

// TestMachineIsNotRead runs in a process that sees other files in /etc than the
// rest of the machine, so that nobody else opens them, and watches them.
func TestMachineIsNotRead(t *testing.T) {
	const variable = "RINGTAIL_TEST_ETC"
	if dir := os.Getenv(variable); dir != "" {
		inMachine(t, dir)
		return
	}
	testenv.Need(t, "tap", netlab.Available()) // who may make namespaces may mount
	dir := t.TempDir()
	for path, text := range machineFiles {
		must(os.WriteFile(filepath.Join(dir, filepath.Base(path)), []byte(text), 0o644))
	}
	cmd := exec.CommandContext(t.Context(), must1(os.Executable()), "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), variable+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// inMachine is the test in the other process.
func inMachine(t *testing.T, dir string) {
	watch := must1(unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC))
	defer unix.Close(watch)
	for path := range machineFiles {
		file := filepath.Join(dir, filepath.Base(path))
		err := unix.Mount(file, path, "", unix.MS_BIND, "")
		if errors.Is(err, os.ErrNotExist) {
			continue // this machine has no such file
		}
		must(err)
		must1(unix.InotifyAddWatch(watch, file, unix.IN_OPEN|unix.IN_ACCESS))
	}
	opened := func() bool {
		n, err := unix.Read(watch, make([]byte, 4096))
		if err != nil && err != unix.EAGAIN {
			t.Fatal(err)
		}
		return n > 0
	}

	z := zone{"www.test.": {"A 10.0.0.9"}, "db.": {"A 10.0.0.7"}, "db.evil.test.": {"A 192.0.2.66"}}
	client, _ := withResolver(t, z, api.Names{Servers: []netip.AddrPort{firstServer}})
	for address, want := range map[string]string{
		"www.test:80":  "10.0.0.9:80",
		"db:http":      "10.0.0.7:80",
		"localhost:53": "127.0.0.1:53",
	} {
		c, err := client.Dial("udp4", address)
		if err != nil || c.RemoteAddr().String() != want {
			t.Errorf("Dial(%q): %v, want %s", address, err, want)
			continue
		}
		c.Close()
	}
	var dns *net.DNSError
	if _, err := client.Dial("udp4", "nobody.test:80"); !errors.As(err, &dns) || !dns.IsNotFound {
		t.Errorf("a name of the machine: %v", err)
	}
	if _, err := client.Dial("udp4", "www.test:evil"); err == nil {
		t.Error("a port of the machine")
	}
	if opened() {
		t.Error("files of the machine were opened")
	}

	// The resolver for others is package net's, and says so; and this test would
	// see it.
	if got, err := client.Resolver().LookupHost(ctx, "www.test."); err != nil || got[0] != "192.0.2.66" {
		t.Errorf("with the machine's files: %v, %v", got, err)
	}
	if !opened() {
		t.Error("the watch does not work")
	}
}
