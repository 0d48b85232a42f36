// Package api is the two faces of a host: queues in the manner of Demikernel
// (sockets, pushes, pops and completions) and the interfaces of package net.
// Both submit the same ops to the same transport.
package api
