package stack_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/ringtail-net/ringtail/api"
	"github.com/ringtail-net/ringtail/stack"
)

// Loss detection by time is the host's: a socket says whether it has it.
func TestOptionRACK(t *testing.T) {
	for _, on := range []bool{false, true} {
		h, err := stack.New(stack.Config{RACK: on})
		if err != nil {
			t.Fatal(err)
		}
		lib := api.New(h, api.Config{Strict: true})
		defer lib.Exit()
		for _, n := range []api.Network{api.TCP, api.UDP} {
			qd, err := lib.Socket(n)
			if err != nil {
				t.Fatal(err)
			}
			got, err := lib.Option(qd, api.RACK(!on))
			switch {
			case n == api.UDP && !errors.Is(err, syscall.ENOPROTOOPT):
				t.Errorf("%v: %v", n, err)
			case n == api.TCP && (err != nil || got != api.RACK(on)):
				t.Errorf("%v: %v, %v, want %v", n, got, err, on)
			}
			if err := lib.SetOption(qd, api.RACK(on)); !errors.Is(err, syscall.ENOPROTOOPT) {
				t.Errorf("%v: setting it: %v", n, err)
			}
		}
	}
}
