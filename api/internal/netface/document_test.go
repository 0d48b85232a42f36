package netface

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("netface.update", false, "write docs/net.md anew")

const (
	document = "../../../docs/net.md"
	command  = "go test ./api/internal/netface -run TestDocument -netface.update"
)

// TestRule demands a reason of every row that differs, and that it does differ.
func TestRule(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range table {
		if seen[r.name] {
			t.Errorf("%s stands there twice", r.name)
		}
		seen[r.name] = true
		if (r.ours == "") != (r.why == "") {
			t.Errorf("%s: a difference and its reason go together", r.name)
		}
		kernel, ours := r.expected(false), r.expected(true)
		for _, n := range parse(r.ours) {
			if slices.Contains(kernel, n) || !slices.Contains(ours, n) {
				t.Errorf("%s: %s: is no difference", r.name, n.call)
			}
		}
	}
}

// TestDocument compares docs/net.md with the table.
func TestDocument(t *testing.T) {
	want := text()
	if *update {
		if err := os.WriteFile(document, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), want) {
		t.Errorf("docs/net.md is not what the table says: run %s", command)
	}
}

func text() []byte {
	var b bytes.Buffer
	differ := 0
	for _, r := range table {
		if r.ours != "" {
			differ++
		}
	}
	fmt.Fprintf(&b, introduction, len(table), differ, command)
	section := ""
	for _, r := range table {
		part, name, _ := strings.Cut(r.name, ": ")
		if part != section {
			section = part
			fmt.Fprintf(&b, "\n## %s\n\n| case | call | package net | ours | why |\n|---|---|---|---|---|\n", section)
		}
		if !r.anywhere() {
			name += " ⏱"
		}
		ours := r.expected(true)
		for i, n := range r.expected(false) {
			other, why := "same", ""
			if ours[i] != n {
				other, why = "`"+ours[i].result+"`", r.why
			}
			fmt.Fprintf(&b, "| %s | %s | `%s` | %s | %s |\n", name, n.call, n.result, other, why)
			name = ""
		}
	}
	return b.Bytes()
}

// introduction is the beginning of the document.
var introduction = strings.ReplaceAll(`# The net face beside package net

<!-- Generated from the table in api/internal/netface/rows_*_test.go. Do not edit: change
the table, then run
    %[3]s -->

What the calls of package net return in %[1]d situations, on Linux's sockets and on the net
face. They differ in %[2]d.

- **package net** is measured by the tests, on the kernel's loopback interface, with IPv4 and
  with IPv6. ⏱ is measured between two network namespaces, because it takes addresses
  where nobody answers, or time.
- **ours** is measured by the same code, on a wire in memory with IPv4 and with IPv6, and on a
  TAP, a packet socket and AF_XDP with the kernel at the far end; ⏱ in a bubble of virtual time.
- Calls are those of the near end. ''n, error'' is what they return: ''ok'' is nil, and an error is
  written as the structure that it has: ''read tcp near->far: read: ECONNRESET'' is a
  ''*net.OpError'' with its Op, Net, Source and Addr, around an ''*os.SyscallError'' with its
  Syscall, around a number. "(timeout)" says that Timeout() is true. A deadline's error is
  ''os.ErrDeadlineExceeded'' or ''context.DeadlineExceeded'': of a dial package net gives
  either, as it happens.

What the net face has not got at all: file descriptors (''File'', ''SyscallConn'': see
[decision 12](decisions/0012-no-descriptors.md)), control messages (''ReadMsgUDP'', ''WriteMsgUDP''), Multipath TCP.
`, "''", "`")
