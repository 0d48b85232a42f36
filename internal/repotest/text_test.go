package repotest

import (
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// machinePath finds the home directories and work trees that slip into text by
// pasting. "/home/me" is nobody's.
var machinePath = regexp.MustCompile(`(?:^|[^\w.])/(?:work|home|root)/\w+`)

func TestNoMachineInTheText(t *testing.T) {
	r := repo(t)
	out, err := exec.Command("go", "env", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	proxy, _, _ := strings.Cut(strings.TrimSpace(string(out)), ",")
	host := ""
	if u, err := url.Parse(proxy); err == nil {
		host = u.Host
	}
	for _, f := range r.texts {
		if path.Base(f.name) == "go.sum" {
			continue
		}
		for i, line := range strings.Split(string(f.data), "\n") {
			if m := machinePath.FindString(line); m != "" && !strings.HasSuffix(m, "/home/me") {
				t.Errorf("%s:%d: %q: a path of one machine means nothing on another", f.name, i+1, strings.TrimSpace(line))
			}
			if host != "" && strings.Contains(line, host) {
				t.Errorf("%s:%d names %s, this machine's module proxy: everybody has their own", f.name, i+1, host)
			}
		}
	}
}

// link is an inline link of Markdown.
var link = regexp.MustCompile(`\]\(([^()\s]+)\)`)

func TestLinks(t *testing.T) {
	r := repo(t)
	anchors := map[string]map[string]bool{}
	for _, f := range r.texts {
		if path.Ext(f.name) == ".md" {
			anchors[f.name] = headings(string(f.data))
		}
	}
	for _, f := range r.texts {
		if path.Ext(f.name) != ".md" {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(prose(string(f.data)), -1) {
			u, err := url.Parse(m[1])
			if err != nil || u.Scheme != "" {
				continue
			}
			target := f.name
			if u.Path != "" {
				target = path.Join(path.Dir(f.name), u.Path)
			}
			if _, err := os.Stat(filepath.Join(r.root, filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s, which is not there", f.name, m[1])
			} else if u.Fragment != "" && path.Ext(target) == ".md" && !anchors[target][u.Fragment] {
				t.Errorf("%s links to %s, and %s has no such heading", f.name, m[1], target)
			}
		}
	}
}

// prose returns a document without its blocks of code.
func prose(doc string) string {
	var b strings.Builder
	code := false
	for line := range strings.Lines(doc) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
			continue
		}
		if !code {
			b.WriteString(line)
		}
	}
	return b.String()
}

// headings returns the anchors of a document, made as GitHub makes them.
func headings(doc string) map[string]bool {
	m := map[string]bool{}
	for line := range strings.Lines(prose(doc)) {
		if !strings.HasPrefix(line, "#") {
			continue
		}
		m[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(strings.TrimLeft(line, "#")))] = true
	}
	return m
}

// TestCodeInDocumentsIsCompiled keeps the Go code of documents from rotting: each
// block stands in a file that is compiled, but for its indentation.
func TestCodeInDocumentsIsCompiled(t *testing.T) {
	r := repo(t)
	var compiled strings.Builder
	for _, f := range r.files {
		compiled.WriteString(flat(string(f.data)))
	}
	for _, name := range []string{"README.md", "docs/embed.md", "interop/README.md"} {
		data, err := os.ReadFile(filepath.Join(r.root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(data), "```go\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("%s shows no Go code", name)
		}
		for _, b := range blocks {
			code, _, _ := strings.Cut(b, "```")
			if !strings.Contains(compiled.String(), flat(code)) {
				t.Errorf("%s shows code that stands in no Go file: quote an Example that is compiled\n%s", name, code)
			}
		}
	}
}

// flat is text without indentation and empty lines.
func flat(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func TestReadmeBeginsWithTheTwoCommands(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(repo(t).root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "```sh\n")
	block, _, _ := strings.Cut(rest, "```")
	var commands []string
	for line := range strings.Lines(block) {
		command, _, _ := strings.Cut(line, "#")
		commands = append(commands, strings.TrimSpace(command))
	}
	if len(commands) != 2 || commands[0] != "go run ./cmd/ringtail demo" || commands[1] != "go test ./..." {
		t.Errorf("the first commands of README.md are %q: must be the demo and the tests, which work on a fresh clone", commands)
	}
}
