package rawbench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A Lab is a cable between two network namespaces of its own, made with
// ip(8). Nothing else is in there; IPv6 is off, so that nobody speaks but us.
type Lab struct {
	Near, Far string // namespaces
}

// Cable is the name of the interface in both namespaces.
const Cable = "cable0"

// NewLab makes a lab. It needs the rights of root.
func NewLab(ctx context.Context) (*Lab, error) {
	l := &Lab{fmt.Sprintf("rt%d-near", os.Getpid()), fmt.Sprintf("rt%d-far", os.Getpid())}
	for _, line := range []string{
		"netns add " + l.Near,
		"netns add " + l.Far,
		"netns exec " + l.Near + " sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
		"netns exec " + l.Far + " sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
		"-n " + l.Near + " link add " + Cable + " type veth peer name " + Cable + " netns " + l.Far,
		"-n " + l.Near + " link set " + Cable + " up",
		"-n " + l.Far + " link set " + Cable + " up",
	} {
		if _, err := ip(ctx, strings.Fields(line)...); err != nil {
			return nil, errors.Join(fmt.Errorf("a lab of two network namespaces (root can make it): %w", err), l.Close())
		}
	}
	return l, l.ready(ctx)
}

// ready waits until the cable carries frames, which is a moment after it is up.
func (l *Lab) ready(ctx context.Context) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		out, err := ip(ctx, "-n", l.Near, "link", "show", "dev", Cable)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		if strings.Contains(out, "state UP") {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("rawbench: the cable does not come up"), l.Close())
}

// Close removes the namespaces, and with them the cable.
func (l *Lab) Close() error {
	var errs error
	for _, ns := range []string{l.Near, l.Far} {
		if _, err := os.Stat("/run/netns/" + ns); err != nil {
			continue
		}
		_, err := ip(context.Background(), "netns", "del", ns)
		errs = errors.Join(errs, err)
	}
	return errs
}

// Received returns how many frames an interface has received.
func Received(ctx context.Context, netns, ifname string) (uint64, error) {
	args := []string{"-s", "-j", "link", "show", "dev", ifname}
	if netns != "" {
		args = append([]string{"-n", netns}, args...)
	}
	out, err := ip(ctx, args...)
	if err != nil {
		return 0, err
	}
	var links []struct {
		Stats struct {
			Rx struct{ Packets uint64 } `json:"rx"`
		} `json:"stats64"`
	}
	if err := json.Unmarshal([]byte(out), &links); err != nil || len(links) != 1 {
		return 0, fmt.Errorf("what ip says of %s is not understood: %w", ifname, err)
	}
	return links[0].Stats.Rx.Packets, nil
}

func ip(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "ip", args...).Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = fmt.Errorf("ip %s: %s", strings.Join(args, " "), strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}
