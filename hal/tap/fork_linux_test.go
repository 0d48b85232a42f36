package tap

import (
	"fmt"
	"os/exec"
	"sync"
	"testing"
)

// A process that is started meanwhile must not get a descriptor of the interface,
// not even until it runs its program: the interface would be busy.
func TestCreatedWhileProcessesStart(t *testing.T) {
	ns := namespace(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("true").Run()
				}
			}
		})
	}
	for i := range 30 {
		dev, err := tryIn(ns, fmt.Sprintf("tap:fork%d", i))
		if err != nil {
			t.Fatal(err)
		}
		dev.Close()
	}
}
