// Package netface is tests only: the net face of package api beside package net.
//
// The same body runs on the kernel's sockets, through package net, and on ours,
// over a wire in memory and, by each driver that can, to the kernel; what each call
// returns is noted in the same words and compared:
//
//	{name: "the peer resets", body: func(r *run) {
//		near, far := r.pair()
//		reset(far)
//		r.read(near, "Read")
//	}, want: `
//		Read: 0, read tcp near->far: read: ECONNRESET`}
//
// Beside the table there are judges that others wrote (nettest.TestConn), suites
// for datagrams and listeners, and storms. What both do alike is not said again in
// the documentation; what differs, and why, is in docs/net.md, which is made from
// the table.
package netface
