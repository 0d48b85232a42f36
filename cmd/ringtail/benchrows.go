package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ringtail-net/ringtail/internal/rawbench"
)

// benchRow is what --json prints: one loop, by device and by packet socket.
type benchRow struct {
	Direction string      `json:"direction"` // send or receive
	Size      int         `json:"size"`
	Mode      string      `json:"mode"` // what the device obtained
	Device    benchFigure `json:"device"`
	Plain     benchFigure `json:"plain"`
}

// benchFigure is the median of the rounds.
type benchFigure struct {
	PerSecond float64 `json:"frames_per_second"`
	CPU       float64 `json:"cpu_ns_per_frame"`
	Arrived   float64 `json:"arrived,omitempty"` // share of the frames sent that the other end received
}

// A place is an interface in a namespace.
type place struct{ netns, ifname string }

// measure runs all rounds; device and packet socket take turns.
func (b *benchRaw) measure(ctx context.Context) ([]benchRow, error) {
	show := newProgress(b.con)
	defer show.end()
	var rows []benchRow
	for _, size := range b.sizes {
		for _, direction := range []string{"send", "receive"} {
			row := benchRow{Direction: direction, Size: size}
			var device, plain []benchFigure
			for round := range b.rounds {
				show.show("%s %d bytes, round %d of %d", direction, size, round+1, b.rounds)
				f, mode, err := b.loop(ctx, direction, size, true)
				if err != nil {
					return nil, fmt.Errorf("%s %d bytes: %w", direction, size, err)
				}
				device, row.Mode = append(device, f), mode
				if f, _, err = b.loop(ctx, direction, size, false); err != nil {
					return nil, fmt.Errorf("%s %d bytes by packet socket: %w", direction, size, err)
				}
				plain = append(plain, f)
			}
			row.Device, row.Plain = median(device), median(plain)
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// loop runs one loop, and at the other end of the cable what it needs.
func (b *benchRaw) loop(ctx context.Context, direction string, size int, device bool) (f benchFigure, mode string, err error) {
	near, far := b.ends(device)
	args := []string{"--size", fmt.Sprint(size), "--time", b.time.String()}
	if device {
		args = append(args, "--hal", b.deviceSpec())
	} else {
		args = append(args, "--plain", near.ifname)
	}
	if direction == "receive" {
		args = append(args, "--receive")
	}
	inMemory := device && b.driver == "loopback"
	counted := direction == "send" && !(device && !b.hasCable())
	var before, after uint64
	if counted {
		if before, err = rawbench.Received(ctx, far.netns, far.ifname); err != nil {
			return f, "", err
		}
	}
	r, err := b.child(ctx, near.netns, args, func(mac string) (stop func()) {
		if direction == "send" || inMemory {
			return func() {}
		}
		return b.blast(ctx, far, mac, size)
	})
	if err != nil {
		return f, "", err
	}
	f = benchFigure{PerSecond: r.PerSecond(), CPU: r.CPUPerFrame()}
	if counted && r.Frames > 0 {
		after, err = rawbench.Received(ctx, far.netns, far.ifname)
		f.Arrived = min(1, float64(after-before)/float64(r.Frames))
	}
	return f, r.Mode, err
}

// ends returns the two ends of the cable of a loop.
func (b *benchRaw) ends(device bool) (near, far place) {
	if b.lab == nil {
		_, rest, _ := strings.Cut(b.spec, ":")
		target, _, _ := strings.Cut(rest, "?")
		return place{"", target}, place{b.peerNetNS, b.peer}
	}
	near, far = place{b.lab.Near, rawbench.Cable}, place{b.lab.Far, rawbench.Cable}
	if device && b.driver == "tap" { // its other end is the kernel's, in the same namespace
		_, rest, _ := strings.Cut(b.deviceSpec(), ":")
		target, _, _ := strings.Cut(rest, "?")
		far = place{b.lab.Near, target}
	}
	return near, far
}

// self returns a command that is this program in a namespace.
func self(ctx context.Context, netns string, args []string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args = append([]string{exe, "bench", "loop"}, args...)
	if netns != "" {
		args = append([]string{"ip", "netns", "exec", netns}, args...)
	}
	return exec.CommandContext(ctx, args[0], args[1:]...), nil
}

// child runs a loop, calls ready when it has begun, and returns its result.
func (b *benchRaw) child(ctx context.Context, netns string, args []string, ready func(mac string) (stop func())) (r rawbench.Result, err error) {
	cmd, err := self(ctx, netns, args)
	if err != nil {
		return r, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	lines := bufio.NewReader(out)
	if mac, e := lines.ReadString('\n'); e == nil {
		stop := ready(strings.TrimSpace(mac))
		err = json.NewDecoder(lines).Decode(&r)
		stop()
	}
	if e := cmd.Wait(); e != nil {
		text := strings.TrimPrefix(strings.TrimSpace(stderr.String()), "ringtail: ")
		return r, cmp.Or(ctx.Err(), errors.New(cmp.Or(text, e.Error())))
	}
	return r, err
}

// blast sends frames from the far end until stop is called.
func (b *benchRaw) blast(ctx context.Context, from place, to string, size int) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	cmd, err := self(ctx, from.netns, []string{"--plain", from.ifname, "--size", fmt.Sprint(size), "--time", (b.time + 10*time.Second).String(), "--to", to})
	if err == nil {
		err = cmd.Start()
	}
	if err != nil { // the receiver will say that nothing came
		return cancel
	}
	return func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}
}

// median takes the middle of every figure by itself.
func median(fs []benchFigure) benchFigure {
	mid := func(of func(benchFigure) float64) float64 {
		var all []float64
		for _, f := range fs {
			all = append(all, of(f))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return benchFigure{
		PerSecond: mid(func(f benchFigure) float64 { return f.PerSecond }),
		CPU:       mid(func(f benchFigure) float64 { return f.CPU }),
		Arrived:   mid(func(f benchFigure) float64 { return f.Arrived }),
	}
}

func writeBench(w io.Writer, rows []benchRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tbytes\tframes/s\tCPU-ns/frame\tarrived\tof plain: frames/s\tCPU-ns/frame\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.0f\t%s\t%.2f\t%.2f\t\n", r.Direction, r.Size, r.Device.PerSecond, r.Device.CPU, share(r.Device.Arrived),
			r.Device.PerSecond/r.Plain.PerSecond, r.Device.CPU/r.Plain.CPU)
		fmt.Fprintf(t, "packet socket\t%d\t%.0f\t%.0f\t%s\t\t\t\n", r.Size, r.Plain.PerSecond, r.Plain.CPU, share(r.Plain.Arrived))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(rows) > 0 && rows[0].Mode != "" {
		fmt.Fprintf(w, "the device's mode: %s\n", rows[0].Mode)
	}
	return nil
}

func share(f float64) string {
	if f == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*f)
}
