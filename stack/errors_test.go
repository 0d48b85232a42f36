package stack

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// TestErrno says which number each error of gVisor becomes.
func TestErrno(t *testing.T) {
	if err := errno(nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
	var listed []string
	for _, c := range []struct {
		err  tcpip.Error
		want syscall.Errno
	}{
		{&tcpip.ErrAborted{}, syscall.EPIPE},
		{&tcpip.ErrAddressFamilyNotSupported{}, syscall.EAFNOSUPPORT},
		{&tcpip.ErrAlreadyBound{}, syscall.EINVAL},
		{&tcpip.ErrAlreadyConnected{}, syscall.EISCONN},
		{&tcpip.ErrAlreadyConnecting{}, syscall.EALREADY},
		{&tcpip.ErrBadAddress{}, syscall.EFAULT},
		{&tcpip.ErrBadBuffer{}, syscall.EFAULT},
		{&tcpip.ErrBadLocalAddress{}, syscall.EADDRNOTAVAIL},
		{&tcpip.ErrBroadcastDisabled{}, syscall.EACCES},
		{&tcpip.ErrClosedForReceive{}, syscall.ENOTCONN},
		{&tcpip.ErrClosedForSend{}, syscall.EPIPE},
		{&tcpip.ErrConnectStarted{}, syscall.EINPROGRESS},
		{&tcpip.ErrConnectionAborted{}, syscall.ECONNABORTED},
		{&tcpip.ErrConnectionRefused{}, syscall.ECONNREFUSED},
		{&tcpip.ErrConnectionReset{}, syscall.ECONNRESET},
		{&tcpip.ErrDestinationRequired{}, syscall.EDESTADDRREQ},
		{&tcpip.ErrDuplicateAddress{}, syscall.EEXIST},
		{&tcpip.ErrDuplicateNICID{}, syscall.EEXIST},
		{&tcpip.ErrEndpointBusy{}, syscall.EBUSY},
		{&tcpip.ErrHostDown{}, syscall.EHOSTDOWN},
		{&tcpip.ErrHostUnreachable{}, syscall.EHOSTUNREACH},
		{&tcpip.ErrInvalidEndpointState{}, syscall.EINVAL},
		{&tcpip.ErrInvalidNICID{}, syscall.ENODEV},
		{&tcpip.ErrInvalidOptionValue{}, syscall.EINVAL},
		{&tcpip.ErrInvalidPortRange{}, syscall.EINVAL},
		{&tcpip.ErrMalformedHeader{}, syscall.EINVAL},
		{&tcpip.ErrMessageTooLong{}, syscall.EMSGSIZE},
		{&tcpip.ErrMissingRequiredFields{}, syscall.EINVAL},
		{&tcpip.ErrMulticastInputCannotBeOutput{}, syscall.EINVAL},
		{&tcpip.ErrNetworkUnreachable{}, syscall.ENETUNREACH},
		{&tcpip.ErrNoBufferSpace{}, syscall.ENOBUFS},
		{&tcpip.ErrNoNet{}, syscall.ENETUNREACH},
		{&tcpip.ErrNoPortAvailable{}, syscall.EAGAIN},
		{&tcpip.ErrNoSuchFile{}, syscall.ENOENT},
		{&tcpip.ErrNotConnected{}, syscall.ENOTCONN},
		{&tcpip.ErrNotPermitted{}, syscall.EPERM},
		{&tcpip.ErrNotSupported{}, syscall.EOPNOTSUPP},
		{&tcpip.ErrPortInUse{}, syscall.EADDRINUSE},
		{&tcpip.ErrQueueSizeNotSupported{}, syscall.EOPNOTSUPP},
		{&tcpip.ErrTimeout{}, syscall.ETIMEDOUT},
		{&tcpip.ErrUnknownDevice{}, syscall.ENODEV},
		{&tcpip.ErrUnknownNICID{}, syscall.ENODEV},
		{&tcpip.ErrUnknownProtocol{}, syscall.EPROTONOSUPPORT},
		{&tcpip.ErrUnknownProtocolOption{}, syscall.ENOPROTOOPT},
		{&tcpip.ErrWouldBlock{}, syscall.EAGAIN},
	} {
		if got := errno(c.err); got != c.want {
			t.Errorf("%T becomes %v, want %v", c.err, got, c.want)
		}
		listed = append(listed, strings.TrimPrefix(fmt.Sprintf("%T", c.err), "*tcpip."))
	}
	for _, name := range errorTypes(t) {
		if !slices.Contains(listed, name) {
			t.Errorf("this test lacks %s", name)
		}
	}
}

// TestErrorTable fails when gVisor has an error that errno does not know: it
// would become EIO.
func TestErrorTable(t *testing.T) {
	known := casesOfErrno(t)
	for _, name := range errorTypes(t) {
		if !slices.Contains(known, name) {
			t.Errorf("gVisor has a tcpip.%s, which errno lacks: give it the number that Linux gives in the same place, here and in TestErrno", name)
		}
	}
}

// errorTypes reads the names of gVisor's errors from its source.
func errorTypes(t *testing.T) (names []string) {
	t.Helper()
	p, err := build.Import("gvisor.dev/gvisor/pkg/tcpip", ".", build.FindOnly)
	if err != nil {
		t.Fatalf("gVisor's source is not to be found (this needs the go command): %v", err)
	}
	// Types may be declared in any file; an error is what has isError.
	files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		ast.Inspect(parse(t, file), func(n ast.Node) bool {
			f, ok := n.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "isError" {
				return true
			}
			receiver := f.Recv.List[0].Type
			if star, ok := receiver.(*ast.StarExpr); ok {
				receiver = star.X
			}
			names = append(names, receiver.(*ast.Ident).Name)
			return false
		})
	}
	if len(names) == 0 {
		t.Fatalf("no errors found in %s: gVisor marks them otherwise than by isError now", p.Dir)
	}
	return names
}

// casesOfErrno reads the names of the types that the switch in errno has.
func casesOfErrno(t *testing.T) (names []string) {
	t.Helper()
	ast.Inspect(parse(t, "errors.go"), func(n ast.Node) bool {
		c, ok := n.(*ast.CaseClause)
		if !ok {
			return true
		}
		for _, e := range c.List {
			if star, ok := e.(*ast.StarExpr); ok {
				names = append(names, star.X.(*ast.SelectorExpr).Sel.Name)
			}
		}
		return false
	})
	return names
}

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
