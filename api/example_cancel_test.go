package api_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"syscall"
	"time"

	"github.com/ringtail-net/ringtail/api"
)

// A timeout: the context ends the wait, Cancel ends the op, and its completion
// comes in any case.
func ExampleLibOS_Cancel() {
	lib := open("cancel", "10.0.0.1/24")
	defer lib.Exit()
	qd, err := lib.Socket(api.UDP)
	if err != nil {
		log.Fatal(err)
	}
	if err := lib.Bind(qd, netip.MustParseAddrPort("10.0.0.1:53")); err != nil {
		log.Fatal(err)
	}
	pop, err := lib.Pop(qd)
	if err != nil {
		log.Fatal(err)
	}

	soon, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err = lib.Wait(soon, pop)
	fmt.Println(err)
	fmt.Println(lib.Stats().Pending, "op goes on")

	// Between the two a datagram may have come: then Cancel changes nothing, and
	// the completion has it.
	fmt.Println(lib.Cancel(pop))
	c, err := lib.Wait(context.Background(), pop)
	fmt.Println(err, errors.Is(c.Err, syscall.ECANCELED))
	c.SGA.Free()

	fmt.Println(errors.Is(lib.Cancel(pop), syscall.EINVAL)) // its token has been used
	// Output:
	// context deadline exceeded
	// 1 op goes on
	// <nil>
	// <nil> true
	// true
}
