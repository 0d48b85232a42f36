package repotest

import (
	"bytes"
	"go/ast"
	"go/format"
	"strings"
	"testing"
)

func TestGofmt(t *testing.T) {
	for _, f := range repo(t).files {
		if out, err := format.Source(f.data); err != nil || !bytes.Equal(out, f.data) {
			t.Errorf("%s is not formatted: run gofmt -w on it, so that no diff is about spaces", f.name)
		}
	}
}

// How long a package comment is that says what the package is, for whom, and what
// to beware of; what is internal has fewer readers.
const (
	leastWords         = 40
	leastWordsInternal = 25
)

func TestPackageComments(t *testing.T) {
	for pkg, files := range repo(t).packages() {
		var where []string
		words, least := 0, leastWords
		if strings.Contains("/"+pkg+"/", "/internal/") {
			least = leastWordsInternal
		}
		for _, f := range files {
			if f.Doc != nil {
				where = append(where, f.name)
				words = len(strings.Fields(f.Doc.Text()))
			}
		}
		switch {
		case len(where) != 1:
			t.Errorf("package %q has %d package comments %q, must have one: it is where a reader starts", or(pkg, "ringtail"), len(where), where)
		case words < least:
			t.Errorf("%s: the package comment has %d words, must have %d: what it is, for whom, an example, the trap", where[0], words, least)
		}
	}
}

// Lines of a file that is no test: more than wanted is reported, more than most
// fails.
const (
	wantedLines = 400
	mostLines   = 450
)

func TestFilesAreShort(t *testing.T) {
	for _, f := range repo(t).files {
		n := bytes.Count(f.data, []byte("\n"))
		switch {
		case f.test || n <= wantedLines:
		case n <= mostLines:
			t.Logf("%s has %d lines; from %d on it should be split, by noun", f.name, n, wantedLines)
		default:
			t.Errorf("%s has %d lines, at most %d: split it by noun, so that ls says where things are", f.name, n, mostLines)
		}
	}
}

func TestUnsafeIsInOneFile(t *testing.T) {
	for pkg, files := range repo(t).packages() {
		var where []string
		for _, f := range files {
			if _, ok := f.imports()["unsafe"]; ok {
				where = append(where, f.name)
			}
		}
		if len(where) > 1 {
			t.Errorf("package %q uses unsafe in %q: keep it in one file, so that one read shows all that can corrupt memory", pkg, where)
		}
	}
}

// manners are calls that a library must not make: they decide for the whole
// process, or talk to people behind the program's back.
var manners = []struct {
	path, name string
	from       []string // who may all the same
	why        string
}{
	{"runtime", "GOMAXPROCS", nil, "how many processors the process uses is its owner's decision"},
	{"os", "Exit", []string{"cmd/*", "examples/*"}, "only main ends the process"},
	{"fmt", "Print", []string{"cmd/*"}, "standard output belongs to the program"},
	{"fmt", "Println", []string{"cmd/*"}, "standard output belongs to the program"},
	{"fmt", "Printf", []string{"cmd/*"}, "standard output belongs to the program"},
	{"log/slog", "Default", []string{"cmd/*"}, "a library logs to the logger it was given, and is silent without one"},
	{"log/slog", "SetDefault", []string{"cmd/*"}, "a library leaves global state alone"},
	{"log/slog", "Debug", nil, "a library logs to the logger it was given"},
	{"log/slog", "Info", nil, "a library logs to the logger it was given"},
	{"log/slog", "Warn", nil, "a library logs to the logger it was given"},
	{"log/slog", "Error", nil, "a library logs to the logger it was given"},
}

func TestLibraryManners(t *testing.T) {
	r := repo(t)
	for _, f := range r.files {
		if f.test {
			continue
		}
		imports := f.imports()
		ast.Inspect(f.File, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			for _, m := range manners {
				if ok && imports[m.path] == x.Name && sel.Sel.Name == m.name && !matchAny(m.from, f.pkg) {
					t.Errorf("%s uses %s.%s: %s", r.pos(f, n), m.path, m.name, m.why)
				}
			}
			return true
		})
	}
}
