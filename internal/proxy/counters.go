package proxy

import "sync/atomic"

// Stats are the counters of one listener at one moment.
type Stats struct {
	Kind    string `json:"kind"`             // "forward", "publish" or "socks"
	Network string `json:"network"`          // "tcp" or "udp"
	Listen  string `json:"listen"`           // the address, with the port that it got
	Target  string `json:"target,omitempty"` // of a route

	// Open counts the connections and flows that there are, Total all that
	// there were, Failed those that could not be opened or did not end well.
	Open   int64  `json:"open"`
	Total  uint64 `json:"total"`
	Failed uint64 `json:"failed"`
	// Dropped counts datagrams that went nowhere.
	Dropped uint64 `json:"dropped"`
	// ToTarget and ToClient count bytes that were passed on.
	ToTarget uint64 `json:"to_target_bytes"`
	ToClient uint64 `json:"to_client_bytes"`
}

// counters are those of a listener.
type counters struct {
	open                          atomic.Int64
	total, failed, dropped        atomic.Uint64
	toTarget, toClient            atomic.Uint64
	kind, network, listen, target string
}

func (c *counters) begin() {
	c.total.Add(1)
	c.open.Add(1)
}

func (c *counters) end(err error) {
	c.open.Add(-1)
	if err != nil {
		c.failed.Add(1)
	}
}

func (c *counters) read() Stats {
	return Stats{
		Kind: c.kind, Network: c.network, Listen: c.listen, Target: c.target,
		Open: c.open.Load(), Total: c.total.Load(), Failed: c.failed.Load(), Dropped: c.dropped.Load(),
		ToTarget: c.toTarget.Load(), ToClient: c.toClient.Load(),
	}
}
