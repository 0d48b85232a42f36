package repotest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/ringtail-net/ringtail"

// A tree is the repository as it lies on disk.
type tree struct {
	root  string // absolute
	fset  *token.FileSet
	texts []text    // every file that is not binary
	files []*goFile // those of them that are Go
}

// text is a file that is not binary.
type text struct {
	name string // relative to the root, with slashes
	data []byte
}

// goFile is a parsed file of Go.
type goFile struct {
	text
	pkg  string // directory relative to the root: the import path's end
	test bool   // name ends in _test.go
	*ast.File
}

// pos tells where a node is, as name:line.
func (t *tree) pos(f *goFile, n ast.Node) string {
	return f.name + ":" + strconv.Itoa(t.fset.Position(n.Pos()).Line)
}

// packages returns the directories that have Go files, and the files of each
// that are not tests.
func (t *tree) packages() map[string][]*goFile {
	m := map[string][]*goFile{}
	for _, f := range t.files {
		if !f.test {
			m[f.pkg] = append(m[f.pkg], f)
		}
	}
	return m
}

var load = sync.OnceValues(func() (*tree, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return nil, err
	}
	t := &tree{root: filepath.Dir(string(bytes.TrimSpace(mod))), fset: token.NewFileSet()}
	return t, filepath.WalkDir(t.root, t.visit)
})

// repo returns the tree, read once.
func repo(t *testing.T) *tree {
	t.Helper()
	r, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// largest is the size, in bytes, above which a file is not looked at: captures
// and tables, not text that people write.
const largest = 1 << 20

func (t *tree) visit(file string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(t.root, file)
	if err != nil {
		return err
	}
	if d.IsDir() {
		if d.Name() == ".git" {
			return fs.SkipDir
		}
		return nil
	}
	if d.Name() == ".git" { // of a worktree
		return nil
	}
	info, err := d.Info()
	if err != nil || !info.Mode().IsRegular() || info.Size() > largest {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil || bytes.IndexByte(data, 0) >= 0 {
		return err
	}
	f := text{filepath.ToSlash(rel), data}
	t.texts = append(t.texts, f)
	if path.Ext(f.name) != ".go" || strings.Contains("/"+f.name, "/testdata/") {
		return nil
	}
	parsed, err := parser.ParseFile(t.fset, file, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	pkg := path.Dir(f.name)
	if pkg == "." {
		pkg = ""
	}
	t.files = append(t.files, &goFile{f, pkg, strings.HasSuffix(f.name, "_test.go"), parsed})
	return nil
}

// imports returns the paths that a file imports, and the name of each in it.
func (f *goFile) imports() map[string]string {
	m := map[string]string{}
	for _, i := range f.Imports {
		p := strings.Trim(i.Path.Value, `"`)
		m[p] = path.Base(p)
		if i.Name != nil {
			m[p] = i.Name.Name
		}
	}
	return m
}
