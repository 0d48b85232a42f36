//go:build dpdk && (!cgo || !linux)

package dpdk

// tagged says that the program was built with the tag that asks for DPDK.
const tagged = true
