package packet

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// roleVar tells this program that it was started again by one of its tests.
const roleVar = "RINGTAIL_PACKET_TEST_ROLE"

// nobody is a user without rights.
const nobody = 65534

// asNobody opens what its role says, with the rights it was started with.
func asNobody(role string) int {
	if role == "probe" {
		fmt.Println(probe())
		return 0
	}
	dev, err := hal.Open(role)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer dev.Close()
	i := dev.Info()
	fmt.Println("opened", i.Name, i.Mode, i.Queues)
	return 0
}

func TestRights(t *testing.T) {
	ours, _ := cable(t)
	for _, c := range []struct {
		role string
		caps []uintptr
		want string
	}{
		{"packet:veth0", nil, "setcap cap_net_raw+ep"},
		{"packet:veth0?ring", nil, "CAP_NET_RAW"},
		{"probe", nil, "CAP_NET_RAW"},
		{"packet:veth0?netns=" + ours.Name(), []uintptr{unix.CAP_NET_RAW}, "CAP_SYS_ADMIN"},
		{"packet:veth0", []uintptr{unix.CAP_NET_RAW}, "opened veth0 vnet 1"},
		{"packet:veth0?ring&queues=2", []uintptr{unix.CAP_NET_RAW}, "opened veth0 vnet, ring 2"},
		{"packet:veth0?mac=02:00:00:00:07:07", []uintptr{unix.CAP_NET_RAW}, "opened veth0 vnet 1"},
		{"probe", []uintptr{unix.CAP_NET_RAW}, "<nil>"},
	} {
		out, err := restart(t, c.role, func(cmd *exec.Cmd) error {
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
				AmbientCaps: c.caps,
			}
			return ours.Do(cmd.Start)
		})
		if !strings.Contains(out, c.want) || strings.Count(out, "\n") != 1 {
			t.Errorf("%s with %v: %v, %q; want one line with %q", c.role, c.caps, err, out, c.want)
		}
	}
}

// restart runs the test binary again, in a role.
func restart(t *testing.T, role string, start func(*exec.Cmd) error) (string, error) {
	t.Helper()
	var out strings.Builder
	// Another user need not be able to find the file, only to run it.
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{self}
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := start(cmd); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	return out.String(), err
}
