package ssh_test

import (
	"fmt"
	"log"
	"net/netip"

	"golang.org/x/crypto/ssh"

	"github.com/ringtail-net/ringtail"
	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

func open(addr string) *ringtail.Host {
	host, err := ringtail.Open(ringtail.Config{HAL: "loopback:ssh", Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
	if err != nil {
		log.Fatal(err)
	}
	return host
}

func Example() {
	serverHost, clientHost := open("10.0.0.1/24"), open("10.0.0.2/24")
	defer serverHost.Close()
	defer clientHost.Close()
	_, hostKey := newKey()
	_, userKey := newKey()

	ln, err := serverHost.Net().Listen("tcp", ":22")
	if err != nil {
		log.Fatal(err)
	}
	go newServer(rig.End{}, hostKey, userKey.PublicKey()).serve(ln)

	conn, err := clientHost.Net().Dial("tcp", "10.0.0.1:22")
	if err != nil {
		log.Fatal(err)
	}
	c, channels, requests, err := ssh.NewClientConn(conn, "10.0.0.1:22", &ssh.ClientConfig{
		User:            "me",
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(userKey)},
		HostKeyCallback: ssh.FixedHostKey(hostKey.PublicKey()),
	})
	if err != nil {
		log.Fatal(err)
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	out, err := session.Output("discard")
	fmt.Println(string(out), err)
	// Output: 0 <nil>
}
