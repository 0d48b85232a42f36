package tap

import (
	"fmt"
	"os/exec"
	"sync"
	"testing"
)

// TestOpenBesideNewProcesses: between its fork and its exec a new process holds
// every descriptor that there was, and with it an interface that is just being
// made.
func TestOpenBesideNewProcesses(t *testing.T) {
	ns := namespace(t)
	stop := make(chan struct{})
	var forks sync.WaitGroup
	for range 4 {
		forks.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if err := exec.Command("true").Run(); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for i := range 30 {
		dev, err := tryIn(ns, fmt.Sprintf("tap:rt%d", i))
		if err != nil {
			t.Errorf("open %d: %v", i, err)
			break
		}
		dev.Close()
	}
	close(stop)
	forks.Wait()
}
