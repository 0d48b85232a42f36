package tap

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ringtail-net/ringtail/hal"
)

// roleVar tells this program that it was started again by one of its tests.
const roleVar = "RINGTAIL_TAP_TEST_ROLE"

// nobody is a user without rights.
const nobody = 65534

// asOther runs in a mount namespace of its own, as root at first. The role is
// what to open, after what stands in the way of that.
func asOther(role string) int {
	kind, spec, _ := strings.Cut(role, " ")
	if kind == "killed" {
		return halfWay(spec)
	}
	if err := prepareDev(kind); err != nil {
		fmt.Println("preparing:", err)
		return 2
	}
	if kind == "probe" {
		fmt.Println(probe())
		return 0
	}
	dev, err := hal.Open(spec)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer dev.Close()
	fmt.Println("opened", dev.Info().Name)
	return 0
}

// prepareDev hides the real /dev/net/tun behind one that anybody may open, as
// distributions have it, or none; then it gives up root.
func prepareDev(kind string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/dev/net", "tmpfs", 0, ""); err != nil {
		return err
	}
	if kind == "nodev" {
		return nil
	}
	unix.Umask(0)
	mode := uint32(0o666)
	if kind == "shut" {
		mode = 0o600
	}
	if err := unix.Mknod(clone, unix.S_IFCHR|mode, int(unix.Mkdev(10, 200))); err != nil {
		return err
	}
	if err := syscall.Setgid(nobody); err != nil {
		return err
	}
	return syscall.Setuid(nobody)
}

// halfWay is killed between the two opens of a new interface.
func halfWay(name string) int {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		fmt.Println(err)
		return 2
	}
	o := opening{Config: Config{Name: name}, nl: nl}
	if err := errors.Join(o.find(), o.create(), unix.Kill(os.Getpid(), unix.SIGKILL)); err != nil {
		fmt.Println(err)
	}
	return 2
}

func TestKilledHalfWay(t *testing.T) {
	ns := namespace(t)
	out, err := restart(t, "killed rt0", func(cmd *exec.Cmd) error { return ns.Do(cmd.Start) })
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Fatalf("%v, %s", err, out)
	}
	if l := link(t, ns, "rt0"); l == nil || l.NonPersist || l.Alias != mark {
		t.Fatalf("what it left: %+v", l)
	}
	dev := openIn(t, ns, "tap:rt0")
	if l := link(t, ns, "rt0"); !l.NonPersist || l.Alias != "" {
		t.Errorf("not taken over: %+v", l)
	}
	dev.Close()
	if l := link(t, ns, "rt0"); l != nil {
		t.Errorf("after Close: %+v", l)
	}
}

func TestOtherUser(t *testing.T) {
	ns := namespace(t)
	ns.Run("ip", "tuntap", "add", "dev", "mine", "mode", "tap", "user", "nobody")
	ns.Run("ip", "tuntap", "add", "dev", "roots", "mode", "tap", "user", "root")
	ns.Run("ip", "address", "add", "10.77.0.1/24", "dev", "mine")
	ns.Run("ip", "link", "set", "mine", "up")
	openIn(t, ns, "tap:ours?persist&owner=65534").Close()
	for role, want := range map[string]string{
		"nobody tap:mine":                   "opened mine",
		"nobody tap:mine?host=10.77.0.1/24": "opened mine",
		"nobody tap:mine?host=10.77.0.2/24": "ip address add 10.77.0.2/24 dev mine",
		"nobody tap:ours":                   "opened ours",
		"nobody tap:roots":                  "interface roots belongs to another user",
		"nobody tap:rt0":                    "setcap cap_net_admin+ep",
		"nobody tap:":                       "ip tuntap add dev rt0 mode tap user nobody",
		"nobody tap:rt0?netns=" + ns.Name(): "CAP_SYS_ADMIN",
		"shut tap:mine":                     "chmod 666 /dev/net/tun",
		"nodev tap:rt0":                     "modprobe tun",
		"nodev tap:mine":                    "modprobe tun",
		"probe":                             "CAP_NET_ADMIN",
	} {
		out, err := restart(t, role, func(cmd *exec.Cmd) error { return ns.Do(cmd.Start) })
		if !strings.Contains(out, want) || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: %v, %q; want one line with %q", role, err, out, want)
		}
	}
	if after := link(t, ns, "mine"); after.Owner != nobody || after.NonPersist {
		t.Errorf("left behind: %+v", after)
	}
}

// restart runs the test binary again, in a role.
func restart(t *testing.T, role string, start func(*exec.Cmd) error) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	if err := start(cmd); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	return out.String(), err
}
