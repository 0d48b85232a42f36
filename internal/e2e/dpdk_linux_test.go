//go:build dpdk

package e2e

func init() {
	tags = "dpdk"
	wires = append(wires,
		wire{driver: "dpdk", target: "net_tap0", keys: "huge=off"},
		wire{driver: "dpdk", target: "net_af_packet0", keys: "huge=off", whole: true},
	)
}
