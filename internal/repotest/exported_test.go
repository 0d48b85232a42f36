package repotest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// wellKnown are methods whose meaning the standard library states: a comment
// could only repeat it.
var wellKnown = map[string]bool{
	"String": true, "GoString": true, "Error": true, "Unwrap": true, "Is": true, "Timeout": true, "Temporary": true, "Network": true,
	"Len": true, "Less": true, "Swap": true, "Push": true, "Pop": true, // sort, container/heap
	"MarshalText": true, "UnmarshalText": true, "MarshalJSON": true, "UnmarshalJSON": true,
}

func TestExportedNamesAreDocumented(t *testing.T) {
	r := repo(t)
	for _, f := range r.files {
		if f.test || f.Name.Name == "main" {
			continue
		}
		for _, d := range f.Decls {
			for _, n := range undocumented(d) {
				t.Errorf("%s: exported %s has no comment; say what it is, with units, owner and errors: the comment is the contract", r.pos(f, n), n.Name)
			}
		}
	}
}

// undocumented returns the exported names of a declaration that nothing is said
// about. A comment on a group of constants or variables counts for all of it, and
// one in a group that has the name in it counts for that.
func undocumented(d ast.Decl) (names []*ast.Ident) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		bare := d.Doc == nil && d.Name.IsExported()
		if bare && (d.Recv == nil || receiver(d).IsExported() && !wellKnown[d.Name.Name]) {
			names = append(names, d.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && !mentioned(d, s.Name) {
					names = append(names, s.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
						names = append(names, n)
					}
				}
			}
		}
	}
	return names
}

// mentioned reports whether a comment of a declaration has the name in it.
func mentioned(d *ast.GenDecl, name *ast.Ident) bool {
	text := d.Doc.Text()
	for _, s := range d.Specs {
		if t, ok := s.(*ast.TypeSpec); ok {
			text += t.Doc.Text()
		}
	}
	word := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	return slices.Contains(strings.FieldsFunc(text, word), name.Name)
}

// receiver returns the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) *ast.Ident {
	for e := d.Recv.List[0].Type; ; {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x
		default:
			return ast.NewIdent("_")
		}
	}
}

// TestNoGVisorTypeIsExported looks at the compiled API of every package that
// others can import, as far as this system builds it.
func TestNoGVisorTypeIsExported(t *testing.T) {
	imp, ours := compiled(t)
	for _, path := range ours {
		if strings.Contains(path+"/", "/internal/") || path == module+"/stack/gvisorlink" {
			continue
		}
		pkg, err := imp.Import(path)
		if err != nil {
			t.Error(err)
			continue
		}
		s := shown{seen: map[types.Type]bool{}}
		for _, name := range pkg.Scope().Names() {
			if o := pkg.Scope().Lookup(name); o.Exported() {
				s.object(path+"."+name, o)
			}
		}
		for _, where := range s.found {
			t.Errorf("%s: gVisor's API changes without notice; who wants it imports stack/gvisorlink, so that nobody else follows it", where)
		}
	}
}

// compiled returns an importer of what the go command has compiled, and the
// paths of this module's packages that are no commands.
func compiled(t *testing.T) (types.Importer, []string) {
	cmd := exec.Command("go", "list", "-e", "-export", "-deps", "-json=ImportPath,Export,Name,GoFiles,Module", "./...")
	cmd.Dir, cmd.Stderr = repo(t).root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	exports := map[string]string{}
	var ours []string
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Export, Name string
			GoFiles                  []string
			Module                   *struct{ Path string }
		}
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if p.Module != nil && p.Module.Path == module && p.Name != "main" && len(p.GoFiles) > 0 {
			ours = append(ours, p.ImportPath)
		}
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(exports[path])
	}), ours
}

// shown walks through what a type shows to those who cannot see unexported names.
type shown struct {
	seen  map[types.Type]bool
	found []string
}

func (s *shown) object(where string, o types.Object) {
	s.typ(where, o.Type())
	if tn, ok := o.(*types.TypeName); ok && !tn.IsAlias() {
		s.typ(where, tn.Type().Underlying())
		for m := range types.NewMethodSet(types.NewPointer(tn.Type())).Methods() {
			if m.Obj().Exported() {
				s.typ(where+"."+m.Obj().Name(), m.Type())
			}
		}
	}
}

func (s *shown) typ(where string, typ types.Type) {
	if s.seen[typ] {
		return
	}
	s.seen[typ] = true
	switch typ := typ.(type) {
	case *types.Alias:
		s.typ(where, typ.Rhs())
	case *types.Named:
		s.named(where, typ)
	case *types.Pointer:
		s.typ(where, typ.Elem())
	case *types.Slice:
		s.typ(where, typ.Elem())
	case *types.Array:
		s.typ(where, typ.Elem())
	case *types.Chan:
		s.typ(where, typ.Elem())
	case *types.Map:
		s.typ(where, typ.Key())
		s.typ(where, typ.Elem())
	case *types.Tuple:
		for v := range typ.Variables() {
			s.typ(where, v.Type())
		}
	case *types.Signature:
		s.typ(where, typ.Params())
		s.typ(where, typ.Results())
	case *types.Struct:
		for f := range typ.Fields() {
			if f.Exported() || f.Embedded() {
				s.typ(where+"."+f.Name(), f.Type())
			}
		}
	case *types.Interface:
		for m := range typ.Methods() {
			if m.Exported() {
				s.typ(where+"."+m.Name(), m.Type())
			}
		}
	}
}

// named looks at a type with a name: gVisor's is found; an unexported one of
// ours can be seen through what returns it.
func (s *shown) named(where string, typ *types.Named) {
	for arg := range typ.TypeArgs().Types() {
		s.typ(where, arg)
	}
	o := typ.Obj()
	switch {
	case o.Pkg() == nil:
	case strings.HasPrefix(o.Pkg().Path(), "gvisor.dev/"):
		s.found = append(s.found, where+" shows "+typ.String())
	case strings.HasPrefix(o.Pkg().Path(), module) && !o.Exported():
		s.object(where, o)
	}
}
