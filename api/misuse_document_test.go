package api_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

var updateMisuse = flag.Bool("misuse.update", false, "write docs/misuse.md anew")

const (
	misuseDocument = "../docs/misuse.md"
	misuseCommand  = "go test ./api -run TestMisuseDocument -misuse.update"
)

// TestMisuseRule demands a reason wherever not all do the same, and that no
// case stands there twice.
func TestMisuseRule(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range misuses {
		if seen[m.id()] {
			t.Errorf("%s stands there twice", m.id())
		}
		seen[m.id()] = true
		agree := func(other error) bool { return other == m.ours || other == errNone }
		if m.why == "" && !(agree(m.demikernel) && agree(m.linux)) {
			t.Errorf("%s: ours is %s, Demikernel's %s, Linux's %s: that needs a reason", m.id(), shown(m.ours), shown(m.demikernel), shown(m.linux))
		}
	}
}

// TestMisuseDocument compares docs/misuse.md with the table.
func TestMisuseDocument(t *testing.T) {
	want := misuseText()
	if *updateMisuse {
		if err := os.WriteFile(misuseDocument, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(misuseDocument)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), want) {
		t.Errorf("docs/misuse.md is not what the table says: run %s", misuseCommand)
	}
}

func misuseText() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, misuseIntroduction, len(misuses), misuseCommand)
	section := ""
	for _, m := range misuses {
		if m.call != section {
			section = m.call
			fmt.Fprintf(&b, "\n## %s\n\n| case | Demikernel | Linux | ours | why |\n|---|---|---|---|---|\n", section)
		}
		linux, ours := shown(m.linux), shown(m.ours)
		if m.page != "" {
			linux += " (" + m.page + ")"
		}
		if _, isErrno := m.ours.(syscall.Errno); isErrno && m.late {
			ours += " ✉"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", m.name, shown(m.demikernel), linux, ours, m.why)
	}
	return b.Bytes()
}

// misuseIntroduction is the beginning of the document.
var misuseIntroduction = strings.ReplaceAll(`# Misuse: which error comes of what

<!-- Generated from the table in api/misuse_*_test.go. Do not edit: change the
table, then run
    %[2]s -->

What the queue face does with %[1]d calls that are wrong, or that somebody may think
wrong, beside what Demikernel and Linux do with the same.

The rule: Linux's error where Demikernel lacks the feature or differs from POSIX;
Demikernel's where both can be defended.

- **Demikernel** is its source as of October 2024 (inetstack), read, not run. It writes
  ENOTSUP, which on Linux is EOPNOTSUPP.
- **Linux** is measured by the tests, with sockets that do not block, on the loopback
  interface; where a manual page is named it is from there.
- **ours** is tested on a wire in memory, and on a TAP, a packet socket and AF_XDP with the kernel at the other
  end. Compare with ''errors.Is(err, syscall.EINVAL)''. ✉ says that the call gave a token
  and the error comes in its completion. Such calls fail themselves for their arguments, for
  their descriptor, and after Exit; whatever a socket's state is to blame for comes later.
- "waits" is no error: the op is pending until something happens. "counted": nothing happens
  but that Stats.Misused counts it; with Config.Strict it panics. "–": there is no such call,
  or we do not know.

Every error is an ''*api.Error'', which names the call and the descriptor, but for that of a
context and for ''net.ErrClosed'' of a wait.
`, "''", "`")

// errnos are the numbers in the table, by name: their texts differ from system to
// system.
var errnos = map[error]string{
	syscall.EACCES: "EACCES", syscall.EAGAIN: "EAGAIN", syscall.EADDRINUSE: "EADDRINUSE", syscall.EADDRNOTAVAIL: "EADDRNOTAVAIL",
	syscall.EAFNOSUPPORT: "EAFNOSUPPORT", syscall.EALREADY: "EALREADY", syscall.EBADF: "EBADF", syscall.EBUSY: "EBUSY",
	syscall.ECANCELED: "ECANCELED", syscall.ECONNABORTED: "ECONNABORTED", syscall.ECONNREFUSED: "ECONNREFUSED",
	syscall.ECONNRESET: "ECONNRESET", syscall.EDESTADDRREQ: "EDESTADDRREQ", syscall.EFAULT: "EFAULT",
	syscall.EHOSTUNREACH: "EHOSTUNREACH", syscall.EINPROGRESS: "EINPROGRESS", syscall.EINVAL: "EINVAL",
	syscall.EISCONN: "EISCONN", syscall.EMSGSIZE: "EMSGSIZE", syscall.ENODEV: "ENODEV", syscall.ENETUNREACH: "ENETUNREACH", syscall.ENOENT: "ENOENT",
	syscall.ENOPROTOOPT: "ENOPROTOOPT", syscall.ENOBUFS: "ENOBUFS", syscall.ENOTCONN: "ENOTCONN", syscall.ENOTSOCK: "ENOTSOCK", syscall.EOPNOTSUPP: "EOPNOTSUPP",
	syscall.EPIPE: "EPIPE", syscall.EPROTO: "EPROTO", syscall.EPROTONOSUPPORT: "EPROTONOSUPPORT",
	syscall.ETIMEDOUT: "ETIMEDOUT",

	net.ErrClosed: "net.ErrClosed", context.DeadlineExceeded: "context.DeadlineExceeded",
}

// shown is what the document calls an outcome.
func shown(err error) string {
	switch {
	case err == nil:
		return "works"
	case errnos[err] != "":
		return "`" + errnos[err] + "`"
	case errors.As(err, new(syscall.Errno)):
		panic(fmt.Sprintf("add %d (%v) to errnos", err, err))
	}
	return err.Error()
}
