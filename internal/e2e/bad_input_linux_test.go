package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ringtail-net/ringtail/internal/netlab"
)

// TestBadInput: one clear line on standard error that names the fix, exit code
// 2, and nothing left behind.
func TestBadInput(t *testing.T) {
	needs(t, "setpriv")
	ns := netlab.New(t).Namespace(fmt.Sprint(servers.Add(1)))
	ns.Run("ip", "tuntap", "add", "dev", "taken0", "mode", "tap")
	holder := ns.Command(binary, "serve", "--hal", "tap:taken0", "--addr", "10.1.1.1/24")
	var held lines
	pipe, err := holder.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	held.read(pipe)
	if !held.wait("ready") {
		t.Fatalf("the holder of a device: %s", held.String())
	}
	// A place where anybody may run the program.
	public := "/tmp/" + ns.Name()
	ns.Run("cp", binary, public)
	t.Cleanup(func() { os.Remove(public) })

	const unprivileged = "setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all "
	for _, c := range []struct{ name, command, want string }{
		{"no capability", unprivileged + public + " serve --hal tap:new0 --addr 10.1.1.1/24", "CAP_NET_ADMIN"},
		{"unknown driver", "serve --hal nope:x --addr 10.1.1.1/24", "known: "},
		{"unknown key", "serve --hal tap:x?nope=1 --addr 10.1.1.1/24", "known: "},
		{"bad value", "serve --hal tap:x?queues=many --addr 10.1.1.1/24", "whole number"},
		{"no colon", "serve --hal tap --addr 10.1.1.1/24", "colon"},
		{"occupied device", "serve --hal tap:taken0 --addr 10.1.1.1/24", "in use"},
		{"no prefix", "serve --hal loopback:x --addr 10.1.1.1", "10.1.1.1"},
		{"wrong CIDR", "serve --hal loopback:x --addr 10.1.1.1/99", "10.1.1.1/99"},
		{"no address", "serve --hal loopback:x", "--addr"},
		{"long name", "serve --hal tap:a-name-that-is-too-long --addr 10.1.1.1/24", "15"},
		{"MTU 20", "serve --hal loopback:x --addr 10.1.1.1/24 --mtu 20", "68"},
		{"fault of 200 %", "serve --hal loopback:x --addr 10.1.1.1/24 --faults drop=200%", "100"},
		{"unknown fault", "serve --hal loopback:x --addr 10.1.1.1/24 --faults nope=1%", "drop"},
		{"unknown face", "serve --hal loopback:x --addr 10.1.1.1/24 --face both", "queue"},
		{"gateway elsewhere", "serve --hal loopback:x --addr 10.1.1.1/24 --gateway 10.2.2.2", "10.2.2.2"},
		{"unknown command", "sevre", "sevre"},
		{"unknown flag", "serve --nope", "nope"},
		{"the kernel's address", "serve --hal tap:y?host=10.1.1.1/24 --addr 10.1.1.1/24", "host="},
		{"netns", "serve --hal tap:x?netns=no-such-ns --addr 10.1.1.1/24", "no-such-ns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.HasPrefix(c.command, "setpriv") {
				c.command = binary + " " + c.command
			}
			args := strings.Fields(c.command)
			cmd := ns.Command(args[0], args[1:]...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("%v, want exit status 2", err)
			}
			text := stderr.String()
			if strings.Count(text, "\n") != 1 || !strings.Contains(text, c.want) || strings.Contains(text, "goroutine") {
				t.Errorf("want one line with %q:\n%s", c.want, text)
			}
		})
	}
	if out := ns.Run("ip", "-br", "link"); strings.Contains(out, "new0") || strings.Contains(out, "x@") || strings.Contains(out, "x ") {
		t.Errorf("a failed start left a device behind:\n%s", out)
	}
}
