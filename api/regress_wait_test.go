package api_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// What WaitAll waits for nobody else takes meanwhile, also what was done before;
// when it gives up that is to be had again.
func TestWaitAllReserves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		l := api.New(s, api.Config{Strict: true})
		defer l.Exit()
		qd := must1(l.Socket(api.TCP))
		done := must1(l.Push(qd, api.SGA{}))
		s.hold = true
		ids := []api.Token{done, must1(l.Push(qd, api.SGA{}))}
		taken := func() error {
			_, err := l.WaitNext(ended, make([]api.Completion, 1))
			return err
		}
		time.AfterFunc(time.Minute, func() { s.finish(nil) })
		for _, limit := range []time.Duration{time.Second, time.Hour} {
			limited, cancel := context.WithTimeout(ctx, limit)
			result := make(chan error)
			go func() {
				all, err := l.WaitAll(limited, ids)
				if err == nil && (all[0].Token != ids[0] || all[1].Token != ids[1]) {
					t.Errorf("WaitAll = %+v", all)
				}
				result <- err
			}()
			synctest.Wait()
			if err := taken(); !errors.Is(err, context.Canceled) {
				t.Fatalf("somebody else took what WaitAll waits for: %v", err)
			}
			if err := <-result; errors.Is(err, context.DeadlineExceeded) != (limit == time.Second) {
				t.Errorf("WaitAll within %v: %v", limit, err)
			}
			if limit == time.Second && l.Stats().Unclaimed != 1 {
				t.Errorf("after WaitAll has given up: %+v", l.Stats())
			}
			cancel()
		}
		if _, err := l.Wait(ended, done); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("taken twice: %v", err)
		}
	})
}
