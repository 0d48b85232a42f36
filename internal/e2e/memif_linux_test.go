//go:build dpdk

package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail/internal/testenv"
)

// A joint is a cable of shared memory between processes of the command: no kernel is
// in the path of data, and none is needed for a network.
type joint struct {
	t    *testing.T
	path string
}

func (j joint) spec(role string) string {
	return fmt.Sprintf("dpdk:net_memif0?huge=off&role=%s&socket=%s", role, j.path)
}

// serve starts the server's end, which the test kills or lives with.
func (j joint) serve() (cmd *exec.Cmd, log *lines) {
	j.t.Helper()
	cmd, log = exec.Command(binary, "serve", "--hal", j.spec("server"), "--addr", "10.77.0.2/24"), new(lines)
	pipe, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		j.t.Fatal(err)
	}
	j.t.Cleanup(func() {
		cmd.Process.Kill()
		log.closed.Wait()
		cmd.Wait()
	})
	log.read(pipe)
	if !log.wait("ready") {
		j.t.Fatalf("the server did not become ready:\n%s", log.String())
	}
	return cmd, log
}

// client makes a command at the other end.
func (j joint) client(args ...string) *exec.Cmd {
	args = append(args, "--hal", j.spec("client"), "--addr", "10.77.0.1/24")
	return exec.CommandContext(j.t.Context(), binary, args...)
}

// get fetches n bytes from the server and says how many came.
func (j joint) get(n int) (int, error) {
	cmd := j.client("nc", "10.77.0.2", "80")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("GET /bytes/%d HTTP/1.0\r\n\r\n", n))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.String())
	}
	_, body, _ := bytes.Cut(out, []byte("\r\n\r\n"))
	return len(body), err
}

func newJoint(t *testing.T) joint {
	testenv.Need(t, "dpdk", works()("dpdk"))
	return joint{t, filepath.Join(t.TempDir(), "memif")}
}

// TestMemif/dpdk: one process serves, another one is the client.
func TestMemif(t *testing.T) {
	t.Run("dpdk", func(t *testing.T) {
		j := newJoint(t)
		j.serve()
		if out, err := j.client("ping", "-c", "3", "10.77.0.2").CombinedOutput(); err != nil || !bytes.Contains(out, []byte("3 received")) {
			t.Errorf("ping: %v\n%s", err, out)
		}
		const size = 100_000_000
		if n, err := j.get(size); n != size || err != nil {
			t.Errorf("received %d bytes of %d: %v", n, size, err)
		}
	})
}

// TestKilledPeer/dpdk: either end is killed, and comes back: connections end with an
// error that says so, new ones work, and nothing that was left stands in the way.
func TestKilledPeer(t *testing.T) {
	t.Run("dpdk", func(t *testing.T) {
		j := newJoint(t)
		server, log := j.serve()
		for range 2 { // clients that are killed in the middle
			c := j.client("nc", "10.77.0.2", "80")
			c.Stdin = strings.NewReader("GET /bytes/100000000000 HTTP/1.0\r\n\r\n")
			out, err := c.StdoutPipe()
			if err == nil {
				err = c.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := out.Read(make([]byte, 1<<16)); err != nil {
				t.Fatal(err)
			}
			c.Process.Kill()
			c.Wait()
			if n, err := j.get(1000); n != 1000 || err != nil {
				t.Fatalf("after a client was killed: %d bytes, %v\n%s", n, err, log.String())
			}
		}
		c := j.client("nc", "10.77.0.2", "7")
		c.Stdin = endless{}
		var stderr bytes.Buffer
		c.Stderr = &stderr
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1<<16)); err != nil {
			t.Fatal(err)
		}
		go func() {
			for buf := make([]byte, 1<<16); ; {
				if _, err := out.Read(buf); err != nil {
					return
				}
			}
		}()
		server.Process.Kill()
		log.closed.Wait()
		server.Wait()
		j.serve()
		err = c.Wait()
		if said := stderr.String(); err == nil || !strings.Contains(said, "reset") && !strings.Contains(said, "broken pipe") {
			t.Errorf("a connection to a server that was killed and came back ended with %v: %s", err, said)
		}
		if n, err := j.get(1000); n != 1000 || err != nil {
			t.Errorf("after the server was killed: %d bytes, %v", n, err)
		}
	})
}

// endless is a stream of zeros.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
