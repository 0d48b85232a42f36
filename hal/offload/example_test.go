package offload_test

import (
	"fmt"

	"github.com/ringtail-net/ringtail/hal"
	"github.com/ringtail-net/ringtail/hal/offload"
)

// A super-packet of 3000 bytes for a device that can do nothing by itself.
func ExampleCutter() {
	headers := []byte{
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, // Ethernet
		0x45, 0, 0x0b, 0xe0, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4, 3040 bytes
		0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0x20, 0, 0x1f, 0xd5, 0, 0, // TCP
	}
	meta := hal.Meta{NeedsCsum: true, CsumStart: 34, CsumOffset: 16,
		GSO: hal.GSOTCP4, GSOSize: 1460, HdrLen: 54}

	var c offload.Cutter
	if err := c.Reset([][]byte{headers, make([]byte, 3000)}, meta, 0); err != nil {
		fmt.Println(err)
	}
	for c.More() {
		n := c.Len() // here one would ask a TxQueue for frames
		packet := []hal.Frame{hal.NewFrame(make([]byte, n), 0, n, 0)}
		c.Next(packet)
		fmt.Println(n, "bytes,", offload.Verify(packet))
	}
	// Output:
	// 1514 bytes, valid
	// 1514 bytes, valid
	// 134 bytes, valid
}

func ExampleParse() {
	packet := []byte{
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
		0x45, 0, 0, 32, 0, 7, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
		0x30, 0x39, 0, 53, 0, 12, 0, 0, 'p', 'i', 'n', 'g',
	}
	h, err := offload.Parse(packet)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%v:%d to %v:%d: %s\n", h.Src, h.SrcPort, h.Dst, h.DstPort, packet[h.Payload:h.Total])
	// Output: 10.0.0.1:12345 to 10.0.0.2:53: ping
}
