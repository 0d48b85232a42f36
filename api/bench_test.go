package api_test

import (
	"io"
	"net"
	"strconv"
	"testing"

	"github.com/ringtail-net/ringtail/api"
)

// The cost of a completion does not depend on how many ops are pending.
func BenchmarkCompletion(b *testing.B) {
	for _, outstanding := range []int{10, 1000, 10_000} {
		b.Run(strconv.Itoa(outstanding), func(b *testing.B) {
			s := &stub{}
			l := api.New(s, api.Config{})
			defer l.Exit()
			qd := must1(l.Socket(api.TCP))
			s.hold = true
			for range outstanding {
				must1(l.Push(qd, api.SGA{}))
			}
			s.hold = false
			var out [1]api.Completion
			b.ReportAllocs()
			for b.Loop() {
				l.Push(qd, api.SGA{})
				l.WaitNext(ctx, out[:])
			}
		})
	}
}

// A round trip of 64 bytes on both faces of each transport, and for comparison
// on package net.
func BenchmarkEcho(b *testing.B) {
	b.Run("package net", func(b *testing.B) {
		f := netFace{listen: net.Listen, dial: new(net.Dialer).DialContext, host: "127.0.0.1"}
		benchNet(b, f, f)
	})
	for _, k := range allKinds {
		st, ct, addr := k.make(b)
		r := rig{b, api.New(st, api.Config{}), api.New(ct, api.Config{}), addr}
		b.Run(k.name+"/net", func(b *testing.B) { benchNet(b, ours(r.server, addr), ours(r.client, addr)) })
		b.Run(k.name+"/queue", func(b *testing.B) {
			r.TB = b
			benchQueue(b, r)
		})
		r.client.Exit()
		r.server.Exit()
	}
}

func benchNet(b *testing.B, server, client netFace) {
	ln := must1(server.listen("tcp", net.JoinHostPort(server.host, "0")))
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 64)
		for {
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
			c.Write(buf)
		}
	}()
	c := must1(client.dial(ctx, "tcp", ln.Addr().String()))
	defer c.Close()
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		must1(c.Write(buf))
		must1(io.ReadFull(c, buf))
	}
}

func benchQueue(b *testing.B, r rig) {
	ln, addr := r.listen()
	go echo(ctx, r.server, ln)
	qd := must1(r.client.Socket(api.TCP))
	wait(b, r.client, must1(r.client.Connect(qd, addr)))
	msg := api.SGAOf(make([]byte, 64))
	b.ReportAllocs()
	for b.Loop() {
		must1(r.client.Wait(ctx, must1(r.client.Push(qd, msg))))
		for n := 0; n < 64; {
			c := must1(r.client.Wait(ctx, must1(r.client.Pop(qd))))
			n += c.N
			c.SGA.Free()
		}
	}
	must(r.client.Close(qd))
	must(r.server.Close(ln))
}
