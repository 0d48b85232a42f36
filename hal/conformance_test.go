package hal_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/ringtail-net/ringtail/hal/haltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The driver of the package example keeps the contract that it explains.
func TestExampleDriver(t *testing.T) {
	haltest.Run(t, func(t *testing.T) haltest.Link {
		a, b := newCable("")
		return haltest.Link{Dev: a, Far: haltest.FarDevice(t, b)}
	})
}
