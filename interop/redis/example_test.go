package redis_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"

	"github.com/redis/go-redis/v9"
	"github.com/tidwall/redcon"

	"github.com/ringtail-net/ringtail"
)

func open(addr string) *ringtail.Host {
	host, err := ringtail.Open(ringtail.Config{HAL: "loopback:redis", Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
	if err != nil {
		log.Fatal(err)
	}
	return host
}

func Example() {
	server, client := open("10.0.0.1/24"), open("10.0.0.2/24")
	defer server.Close()
	defer client.Close()

	ln, err := server.Net().Listen("tcp", ":6379")
	if err != nil {
		log.Fatal(err)
	}
	go redcon.Serve(ln, newStore().handle, nil, nil)

	db := redis.NewClient(&redis.Options{
		Addr:   "10.0.0.1:6379",
		Dialer: client.Net().DialContext,
	})
	defer db.Close()
	ctx := context.Background()
	fmt.Println(db.Set(ctx, "greeting", "hello", 0).Err())
	fmt.Println(db.Get(ctx, "greeting").Result())
	// Output:
	// <nil>
	// hello <nil>
}
