// Package wrap puts layers around a device: each takes a [hal.Device] and gives
// one, so they stack, and neither the host above nor the driver below knows.
package wrap
