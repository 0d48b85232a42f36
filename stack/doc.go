// Package stack is a host: gVisor's netstack on devices of package hal, run in
// turns.
package stack
