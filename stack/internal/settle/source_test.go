package settle

import (
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// reliedOn lists the functions of gVisor whose bodies, and not only signatures,
// this package depends on: what on, and the hash of the text that was read.
var reliedOn = []struct{ pkg, name, what, hash string }{
	{"pkg/tcpip/transport/tcp", "(*processor).start", "takes only a *sync.WaitGroup; returns on closeWaker and not before it has handled what was asserted earlier; ends with sleeper.Done and wg.Done", "c05d7058a9d37de5"},
	{"pkg/tcpip/transport/tcp", "(*processor).queueEndpoint", "asserts newEndpointWaker after it has queued, so that IsAsserted says whether work waits", "3b07456417dc5856"},
	{"pkg/tcpip/transport/tcp", "(*processor).close", "asserts closeWaker and does nothing else", "b51ebe3dea2155c7"},
	{"pkg/tcpip/transport/tcp", "(*processor).pause", "asserts pauseWaker, which start answers when its queue is empty", "10fa262de50174c6"},
	{"pkg/tcpip/transport/tcp", "(*processor).resume", "lets a paused start go on", "97bff95956db5306"},
	{"pkg/tcpip/transport/tcp", "(*dispatcher).startLocked", "adds three wakers to each processor's sleeper and starts one goroutine, counted by wg", "e98a1491e9fff756"},
	{"pkg/tcpip/transport/tcp", "(*dispatcher).selectProcessor", "looks at the length of processors at every call, so that it may be cut", "688748b3ca6b6858"},
	{"pkg/tcpip/transport/tcp", "(*dispatcher).queuePacket", "does not care that no goroutine runs, as long as closed is false; leaves a segment to UnlockUser if a user holds the endpoint", "ff0e294e3074eab8"},
	{"pkg/tcpip/transport/tcp", "(*dispatcher).close", "asserts close wakers, which does no harm without goroutines", "c2923cb9ccdd9932"},
	{"pkg/tcpip/transport/tcp", "(*dispatcher).wait", "waits for the goroutines and for nothing else", "107fc1ec6c4cbba9"},
	{"pkg/tcpip/transport/tcp", "(*dispatcher).pause", "returns when every processor has answered", "47ddfd17ba631305"},
	{"pkg/tcpip/transport/tcp", "(*dispatcher).resume", "lets every processor go on", "0ef2b4796ecfcbd1"},
	{"pkg/tcpip/transport/tcp", "(*Endpoint).UnlockUser", "queues the endpoint to its processor if segments came meanwhile, and processes nothing itself", "694f3a30f3dbc8f5"},
	{"pkg/sleep", "(*Sleeper).AddWaker", "enqueues a waker that is asserted already, behind the others", "c031a54de1fd0d19"},
	{"pkg/sleep", "(*Sleeper).Fetch", "is fetch", "e2151517a8f611dc"},
	{"pkg/sleep", "(*Sleeper).fetch", "returns asserted wakers only, and takes their assertion", "338ffb9e1317b1b2"},
	{"pkg/sleep", "(*Sleeper).nextWaker", "returns wakers in the order in which they were asserted", "d8a3c6d1f8d55dd6"},
	{"pkg/sleep", "(*Sleeper).Done", "detaches all wakers and keeps assertions", "811646a86ff60686"},
	{"pkg/sleep", "(*Waker).Assert", "wakes nobody if the waker is detached", "af7c12dfe528aa71"},
	{"pkg/sleep", "(*Waker).assert", "is Assert", "ad3b5017811d4d2a"},
	{"pkg/sleep", "(*Waker).Clear", "takes an assertion back", "1ee8b0b234978f20"},
	{"pkg/sleep", "(*Waker).IsAsserted", "only looks", "83bac107604b9e70"},
}

// TestSource notices what neither compiler nor linker nor reflection would: a
// function that Inline or Barrier relies on does something else than it did.
func TestSource(t *testing.T) {
	packages := map[string]map[string]string{}
	for _, f := range reliedOn {
		functions := packages[f.pkg]
		if functions == nil {
			functions = functionsOf(t, f.pkg)
			packages[f.pkg] = functions
		}
		text, ok := functions[f.name]
		if !ok {
			t.Errorf("%s has no %s any more. This package relies on it: it %s. Find out what does that now.", f.pkg, f.name, f.what)
			continue
		}
		if hash := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:16]; hash != f.hash {
			t.Errorf("%s: %s has changed (its text has the hash %s, was %s). Read it: if it still does what this package relies on, "+
				"that it %s, put the new hash into reliedOn; if not, inline.go has to change.\n%s", f.pkg, f.name, hash, f.hash, f.what, text)
		}
	}
}

// functionsOf returns the source text of all functions of a package of the
// gVisor that is built here, by name.
func functionsOf(t *testing.T, pkg string) map[string]string {
	t.Helper()
	p, err := build.Import(module+"/"+pkg, ".", build.FindOnly)
	if err != nil {
		t.Fatalf("gVisor's source is not to be found (this needs the go command): %v", err)
	}
	files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				functions[nameOf(f)] = string(text[set.Position(f.Pos()).Offset:set.Position(f.End()).Offset])
			}
		}
	}
	return functions
}

// nameOf returns the name of a function, of a method as in (*T).M.
func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	var receiver strings.Builder
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.StarExpr:
			receiver.WriteString("*")
		case *ast.Ident:
			receiver.WriteString(n.Name)
		}
		return true
	})
	return "(" + receiver.String() + ")." + f.Name.Name
}
