// Package nethttp is tests only: net/http's server and client, over HTTP/1.1 and
// HTTP/2, on a host of Ringtail. What it takes is, for a server and for a client,
//
//	ln, err := host.Net().Listen("tcp", ":80")
//	http.Serve(ln, handler)
//
//	client := &http.Client{Transport: &http.Transport{DialContext: host.Net().DialContext}}
//
// and nothing else changes: the example runs it. The trap: [http.Get] and
// [http.ListenAndServe] use the kernel, because nobody told them otherwise.
package nethttp
