//go:build !race

package netface

const raceEnabled = false
