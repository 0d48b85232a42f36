//go:build !linux

package netface

import "testing"

func toTheKernel(*testing.T, func(*testing.T, world)) {}

func stormToTheKernel(*testing.T) {}
