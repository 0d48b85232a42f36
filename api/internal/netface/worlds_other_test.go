//go:build !linux

package netface

import "testing"

func onTAPToo(*testing.T, func(*testing.T, world)) {}

func stormOverTAP(*testing.T) {}
