// Package redis is tests only: go-redis as the client, redcon as the server, and
// the real redis-server and redis-benchmark over a TAP. A server takes a listener
// of the host, a client an option:
//
//	ln, err := host.Net().Listen("tcp", ":6379")
//	redcon.Serve(ln, handler, accept, closed)
//
//	client := redis.NewClient(&redis.Options{
//		Addr:   "10.0.0.1:6379",
//		Dialer: host.Net().DialContext,
//	})
//
// The trap: Options.DialTimeout and the keep-alive that go-redis sets belong to its
// own dialer. With another one, what bounds a dial is its context.
package redis
