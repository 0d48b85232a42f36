package ssh_test

import (
	"bytes"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/ringtail-net/ringtail/internal/testenv"
	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// OpenSSH's client, in the kernel's namespace, asks the server on a host.
func TestOpenSSH(t *testing.T) {
	_, err := exec.LookPath("ssh")
	testenv.Need(t, "tap", err)
	host, kernel := rig.Tap(t)
	r := &rig.Rig{T: t, Server: host, Client: kernel.End}
	echo := echoServer(r)

	private, signer := newKey()
	_, hostKey := newKey()
	ln := r.Listen()
	s := newServer(host, hostKey, signer.PublicKey())
	go s.serve(ln)
	t.Cleanup(func() {
		ln.Close()
		s.all.Wait()
	})

	dir := t.TempDir()
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	write(t, filepath.Join(dir, "key"), pem.EncodeToMemory(block))
	known := "[" + host.IP + "]:" + port + " " + string(ssh.MarshalAuthorizedKey(hostKey.PublicKey()))
	write(t, filepath.Join(dir, "known"), []byte(known))
	run := func(in []byte, args ...string) ([]byte, error) {
		cmd := kernel.Command("ssh", append([]string{"-F", "none", "-p", port, "-i", filepath.Join(dir, "key"),
			"-o", "UserKnownHostsFile=" + filepath.Join(dir, "known"), "-o", "StrictHostKeyChecking=yes",
			"-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "GlobalKnownHostsFile=none"}, args...)...)
		cmd.Stdin = bytes.NewReader(in)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil && !strings.Contains(strings.Join(args, " "), "nonsense") {
			t.Errorf("ssh %q: %v\n%s", args, err, stderr.String())
		}
		return out, err
	}
	sent := random(32 << 20)
	if out, _ := run(sent, "me@"+host.IP, "cat"); !bytes.Equal(out, sent) {
		t.Errorf("cat: %d bytes of %d came back", len(out), len(sent))
	}
	if out, _ := run(sent[:4<<20], "-W", echo, "me@"+host.IP); !bytes.Equal(out, sent[:4<<20]) {
		t.Errorf("a forwarded port: %d bytes of %d came back", len(out), 4<<20)
	}
	if _, err := run(nil, "me@"+host.IP, "nonsense"); err == nil || err.(*exec.ExitError).ExitCode() != 127 {
		t.Errorf("an unknown command: %v", err)
	}
}

func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
