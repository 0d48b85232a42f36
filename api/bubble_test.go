package api_test

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// In a synctest bubble whoever waits, waits on channels of that bubble, so that
// time passes; the next bubble finds nothing of this one.
func TestBubble(t *testing.T) {
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			st, ct, addr := stepped(t)
			r := rig{t, api.New(st, api.Config{Strict: true}), api.New(ct, api.Config{Strict: true}), addr}
			defer r.server.Exit()
			defer r.client.Exit()
			ln := must1(r.server.Net().Listen("tcp", ":0"))
			client := must1(r.client.Net().Dial("tcp", ln.Addr().String()))
			must1(ln.Accept())
			begin := time.Now()
			client.SetReadDeadline(begin.Add(24 * time.Hour))
			_, err := client.Read(make([]byte, 1))
			if d := time.Since(begin); !errors.Is(err, os.ErrDeadlineExceeded) || d != 24*time.Hour {
				t.Errorf("Read: %v after %v", err, d)
			}
			_, qd := r.pair()
			pop := must1(r.client.Pop(qd))
			go func() {
				time.Sleep(time.Hour)
				r.client.Close(qd)
			}()
			if c, err := r.client.Wait(ctx, pop); err != nil || time.Since(begin) != 25*time.Hour {
				t.Errorf("Wait: %+v, %v", c, err)
			}
		})
	}
}
