package repotest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// The rules of this package on text made for them: a rule that finds nothing
// in the tree must be seen to find something.

func TestUndocumentedFinds(t *testing.T) {
	const src = `package p
func F() {}
// G is.
func G() {}
type T struct{}
func (T) M() {}
func (*T) String() string { return "" }
type t struct{}
func (t) M() {}
var V, v int
// All of these.
const ( A = 1; B = 2 )
type U[X any] struct{} // trailing is not a comment of a type
type (
	// W and Y are said together.
	W int
	Y int
	Z int
)
func (u *U[X]) N() {}
`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range file.Decls {
		for _, n := range undocumented(d) {
			got = append(got, n.Name)
		}
	}
	if want := []string{"F", "T", "M", "V", "U", "Z", "N"}; !slices.Equal(got, want) {
		t.Errorf("undocumented finds %q, want %q", got, want)
	}
}

func TestShownFinds(t *testing.T) {
	const gvisor = `package tcpip
type Error interface{ String() string }
type Address struct{}`
	const src = `package p
import "gvisor.dev/gvisor/pkg/tcpip"
type inner struct{ E tcpip.Error }
type hidden struct{ E tcpip.Error }
type A struct { E tcpip.Error; e tcpip.Error }
type B struct { h hidden }
type C struct { inner }
func D() *inner { return nil }
func e() tcpip.Error { return nil }
func (B) F(map[string][]tcpip.Address) {}
func (B) g(tcpip.Address) {}
var H = func() tcpip.Error { return nil }
type I = tcpip.Address
type J interface { K() (int, chan tcpip.Error) }
func L(int) string { return "" }
`
	fset := token.NewFileSet()
	var conf types.Config
	load := func(path, src string) *types.Package {
		f, err := parser.ParseFile(fset, path, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		p, err := conf.Check(path, fset, []*ast.File{f}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	conf.Importer = only{load("gvisor.dev/gvisor/pkg/tcpip", gvisor)}
	p := load(module+"/p", src)
	var got []string
	for _, name := range p.Scope().Names() {
		s := shown{seen: map[types.Type]bool{}}
		if o := p.Scope().Lookup(name); o.Exported() {
			s.object(name, o)
		}
		for _, f := range s.found {
			where, _, _ := strings.Cut(f, " ")
			got = append(got, where)
		}
	}
	if want := []string{"A.E", "B.F", "C.inner.E", "D.E", "H", "I", "J.K"}; !slices.Equal(got, want) {
		t.Errorf("shown finds %q, want %q", got, want)
	}
}

// only imports one package.
type only struct{ p *types.Package }

func (o only) Import(string) (*types.Package, error) { return o.p, nil }
