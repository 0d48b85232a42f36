// Package rawbench measures how fast frames cross a device, and what a frame
// costs, with no stack above: `ringtail bench raw`. It compares a device with the
// loop that anybody would write over a packet socket, sendmmsg(2) and recvmmsg(2),
// on the same cable and in the same run.
//
//	lab, err := rawbench.NewLab(ctx) // two namespaces and a cable
//	defer lab.Close()
//	frame := rawbench.Frame(from, to, 64)
//	r, err := rawbench.Send(ctx, dev, frame, time.Second)
//	fmt.Println(r.PerSecond(), r.CPUPerFrame())
//
// A measurement is one loop in one process, so that what the process uses of the
// processors is what the loop uses; the command starts itself again for each.
//
// The trap: a virtual cable runs the receiver's kernel inside the sender's system
// call. What a sender costs there includes that, for every kind of device alike,
// and work that the kernel does in its own threads is in nobody's figure.
package rawbench
