// Package sql is tests only: database/sql, whose pool keeps connections for hours,
// over a small driver that dials by a host of Ringtail. Drivers that let the
// program dial need no more than that, such as pgx:
//
//	config.DialFunc = host.Net().DialContext
//
// or go-sql-driver/mysql:
//
//	mysql.RegisterDialContext("ringtail", func(ctx context.Context, addr string) (net.Conn, error) {
//		return host.Net().DialContext(ctx, "tcp", addr)
//	})
//
// Hours pass in a moment: [testing/synctest] makes time virtual, and hosts on a
// wire in memory live in its bubble as they are. So it is tested that keep-alives
// find the connections that a cut cable has broken, that idle ones live for
// hours, and that a server which has forgotten them is noticed.
//
// The trap is in the kernel's favour: connections through a TAP or a network card
// wait on file descriptors, which no bubble can make virtual.
package sql
