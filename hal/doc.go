// Package hal is what a network device must do for a host to run on it, and
// nothing more: frames on loan, in bursts, never blocking.
package hal
