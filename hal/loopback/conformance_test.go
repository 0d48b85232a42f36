package loopback_test

import (
	"testing"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/haltest"
	"github.com/ringtail-net/ringtail/hal/loopback"
)

func TestConformance(t *testing.T) {
	for name, c := range map[string]loopback.Config{
		"default":   {},
		"chunk":     {Chunk: 256},
		"chunk odd": {Chunk: 1000, MTU: 9000, NoGSO: true},
		"gso off":   {NoGSO: true},
		"queues":    {Queues: 2},
		"few":       {Frames: 4},
		"jumbo":     {MTU: 65521},
	} {
		t.Run(name, func(t *testing.T) {
			haltest.Run(t, func(t *testing.T) haltest.Link {
				a, b, err := loopback.Pair(c)
				if err != nil {
					t.Fatal(err)
				}
				return haltest.Link{Dev: a, Far: haltest.FarDevice(t, b)}
			})
		})
	}
	t.Run("reflect", func(t *testing.T) {
		haltest.Run(t, func(t *testing.T) haltest.Link {
			d, err := hal.Open("loopback:")
			if err != nil {
				t.Fatal(err)
			}
			return haltest.Link{Dev: d}
		})
	})
}
