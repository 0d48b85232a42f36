package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"text/tabwriter"
	"time"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/internal/services"
)

// download fetches a page with Go's HTTP client over the net face.
func (d *demo) download(ctx context.Context) error {
	web := &http.Client{Transport: &http.Transport{DialContext: d.client.Net().DialContext, DisableKeepAlives: true}}
	url := fmt.Sprintf("http://%v/bytes/%d", demoServer.Addr(), demoBytes)
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	begin := time.Now()
	reply, err := web.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	sum := sha256.New()
	body := &watched{Reader: reply.Body, see: func(n int64) {
		d.progress.show("net face: GET /bytes/%d: %3d %%", demoBytes, n*100/demoBytes)
	}}
	n, err := io.Copy(sum, body)
	if err != nil {
		return err
	}
	want := sha256.New()
	io.Copy(want, services.Bytes(demoBytes)) // neither can fail
	got := hex.EncodeToString(sum.Sum(nil))
	d.result.Bulk = bulkResult{
		Bytes: n, SHA256: got, Matches: got == hex.EncodeToString(want.Sum(nil)), Seconds: time.Since(begin).Seconds(),
	}
	if !d.result.Bulk.Matches {
		return fmt.Errorf("the SHA-256 of the download is wrong: %s", got)
	}
	return nil
}

// watched is a reader somebody watches.
type watched struct {
	io.Reader
	n   int64
	see func(n int64)
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	w.n += int64(n)
	w.see(w.n)
	return n, err
}

// echo takes the times of round trips over the queue face.
func (d *demo) echo(ctx context.Context) error {
	lib := d.client.LibOS()
	qd, err := lib.Socket(api.TCP)
	if err != nil {
		return err
	}
	defer lib.Close(qd)
	token, err := lib.Connect(qd, netip.AddrPortFrom(demoServer.Addr(), 7))
	if _, err = wait(ctx, lib, token, err); err != nil {
		return err
	}
	var times []time.Duration
	for i := range demoEchoes {
		begin := time.Now()
		if err := roundTrip(ctx, lib, qd, fmt.Sprintf("echo %06d", i)); err != nil {
			return err
		}
		times = append(times, time.Since(begin))
		d.progress.show("queue face: echo %d of %d", i+1, demoEchoes)
	}
	d.result.Echo = summarize(times)
	return nil
}

// roundTrip pushes a text and pops until all of it is back.
func roundTrip(ctx context.Context, lib *api.LibOS, qd api.QD, text string) error {
	token, err := lib.Push(qd, api.SGAOf([]byte(text)))
	if _, err = wait(ctx, lib, token, err); err != nil {
		return err
	}
	var back []byte
	for len(back) < len(text) {
		token, err := lib.Pop(qd)
		c, err := wait(ctx, lib, token, err)
		if err != nil {
			return err
		}
		if c.EOF {
			return io.ErrUnexpectedEOF
		}
		back = c.SGA.Append(back)
		c.SGA.Free()
	}
	if string(back) != text {
		return fmt.Errorf("%q came back as %q", text, back)
	}
	return nil
}

// wait waits for an op that was just submitted, and joins its three ways to fail.
func wait(ctx context.Context, lib *api.LibOS, token api.Token, err error) (api.Completion, error) {
	if err != nil {
		return api.Completion{}, err
	}
	c, err := lib.Wait(ctx, token)
	if err == nil {
		err = c.Err
	}
	return c, err
}

// print prints the table, or JSON.
func (d *demo) print() error {
	r := d.result
	if d.asJSON {
		return writeJSON(d.con.out, r)
	}
	fmt.Fprintf(d.con.out, "HTTP, net face:   %d bytes in %.2f s (%.1f Mbit/s), SHA-256 matches\n",
		r.Bulk.Bytes, r.Bulk.Seconds, float64(r.Bulk.Bytes)*8/1e6/r.Bulk.Seconds)
	fmt.Fprintf(d.con.out, "echo, queue face: %d round trips, median %.2f ms, p99 %.2f ms, max %.2f ms\n\n",
		r.Echo.Count, milliseconds(r.Echo.Median), milliseconds(r.Echo.P99), milliseconds(r.Echo.Max))
	t := tabwriter.NewWriter(d.con.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "host\taddress\tbytes in\tbytes out\tretransmits\ttimeouts\tdrops\t")
	for _, h := range r.Hosts {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t\n", h.Name, h.Addr, h.RxBytes, h.TxBytes, h.Retransmits, h.Timeouts, h.Drops)
	}
	return t.Flush()
}
