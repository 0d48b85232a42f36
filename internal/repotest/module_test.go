package repotest

import (
	"encoding/json"
	"go/ast"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// A modFile is what the rules look at of a go.mod.
type modFile struct {
	Module  struct{ Path string }
	Go      string
	Require []struct{ Path, Version string }
	Replace []struct {
		Old, New struct{ Path, Version string }
	}
	Exclude []any
}

func readMod(t *testing.T, dir string) (mod modFile) {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &mod)
	}
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	return mod
}

// version returns which version of a module is required, if any.
func (m modFile) version(path string) string {
	for _, r := range m.Require {
		if r.Path == path {
			return r.Version
		}
	}
	return ""
}

const gvisor = "gvisor.dev/gvisor"

func readme(t *testing.T, r *tree) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestModuleFile(t *testing.T) {
	r := repo(t)
	mod := readMod(t, r.root)
	if mod.Module.Path != module {
		t.Errorf("go.mod: the module is %s, not %s", mod.Module.Path, module)
	}
	if len(mod.Replace)+len(mod.Exclude) > 0 {
		t.Error("go.mod has replace or exclude: they do not work for those who import the module")
	}
	pin := mod.version(gvisor)
	if tested := constant(r, "stack/internal/settle", "Tested"); pin == "" || pin != tested {
		t.Errorf("go.mod requires gVisor %q, and stack/internal/settle.Tested is %q: "+
			"every build would fall back to the barrier. Bump both, by .ci/bump-gvisor", pin, tested)
	}
	if !strings.Contains(readme(t, r), "Go "+mod.Go) {
		t.Errorf("README.md does not say that Go %s is needed, as go.mod does", mod.Go)
	}
}

// TestNestedModules looks at the modules below the root. They have what the root
// module should not require of everybody, and see the tree as it lies here.
func TestNestedModules(t *testing.T) {
	r := repo(t)
	root := readMod(t, r.root)
	for _, f := range r.texts {
		dir := path.Dir(f.name)
		if path.Base(f.name) != "go.mod" || dir == "." {
			continue
		}
		mod := readMod(t, filepath.Join(r.root, dir))
		if want := module + "/" + dir; mod.Module.Path != want {
			t.Errorf("%s: the module is %s, want %s: its packages are found where their paths say", f.name, mod.Module.Path, want)
		}
		up := strings.Repeat("../", strings.Count(dir, "/")+1)
		if len(mod.Replace) != 1 || mod.Replace[0].Old.Path != module || mod.Replace[0].New.Path != up {
			t.Errorf("%s: want one replace, of %s by %s: it is about this tree, and about nothing else of its own", f.name, module, up)
		}
		if got, want := mod.version(gvisor), root.version(gvisor); got != want {
			t.Errorf("%s: gVisor is %q, and %q in the root module: hosts would fall back to the barrier", f.name, got, want)
		}
		if mod.Go != root.Go {
			t.Errorf("%s: needs Go %s, and the root module %s", f.name, mod.Go, root.Go)
		}
	}
}

// TestReadmeNamesTestedVersions compares what README.md says to run unchanged with
// what interop/go.mod requires to test it.
func TestReadmeNamesTestedVersions(t *testing.T) {
	r := repo(t)
	text := readme(t, r)
	mod := readMod(t, filepath.Join(r.root, "interop"))
	direct := 0
	for _, f := range r.files {
		if path.Dir(path.Dir(f.pkg)) == "interop" { // the test's own support
			continue
		}
		for imp := range f.imports() {
			for _, req := range mod.Require {
				if !strings.HasPrefix(f.pkg, "interop/") || req.Path == module || !strings.HasPrefix(imp+"/", req.Path+"/") {
					continue
				}
				direct++
				if want := "`" + req.Path + "` " + req.Version; !strings.Contains(text, want) {
					t.Errorf("%s imports %s, and README.md does not say %q", f.name, imp, want)
				}
			}
		}
	}
	if direct == 0 {
		t.Error("the tests of interop import no library: what do they show?")
	}
}

// constant returns the value of a string constant of a package.
func constant(r *tree, pkg, name string) (value string) {
	for _, f := range r.packages()[pkg] {
		ast.Inspect(f.File, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && v.Names[0].Name == name && len(v.Values) == 1 {
				if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					value = strings.Trim(lit.Value, `"`)
				}
			}
			return true
		})
	}
	return value
}
