package sim

import (
	"testing"
)

func TestScenarios(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) { Test(t, s.run) })
	}
}
