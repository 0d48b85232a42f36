//go:build !dpdk

package dpdk

// tagged says that the program was built with the tag that asks for DPDK.
const tagged = false
