package api_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/ringtail-net/ringtail/api"
)

// A zone is what a nameServer knows: records such as "A 10.0.0.9", "CNAME a.test."
// and "MX mail.test." by names in lower case with a final dot. "SERVFAIL" and
// "REFUSED" are answers without records, "SILENT" is none, "LATE" one that takes
// its time, "HANGUP" none by TCP; "SILENT AAAA" and the like are about one type.
type zone map[string][]string

// lateness is how late a late answer is.
const lateness = time.Second

// A nameServer is a DNS server on a host, by UDP and TCP.
type nameServer struct {
	zone zone
	udp  *api.PacketConn
	tcp  net.Listener
	wg   sync.WaitGroup

	// forge, if set, may send something before the reply.
	forge func(query, reply []byte, to net.Addr)

	mu    sync.Mutex
	asked []string // as "udp A a.test."
	ids   []uint16
}

// serveNames starts a server, which ends with the test.
func serveNames(t testing.TB, n *api.Net, z zone, forge func(query, reply []byte, to net.Addr)) *nameServer {
	return serveNamesAt(t, n, "53", z, forge)
}

// serveNamesAt is serveNames at some port: at "0" one that is free for both.
func serveNamesAt(t testing.TB, n *api.Net, port string, z zone, forge func(query, reply []byte, to net.Addr)) *nameServer {
	s := &nameServer{zone: z, forge: forge}
	for tries := 20; s.tcp == nil; tries-- {
		s.udp = must1(n.ListenPacket("udp", ":"+port)).(*api.PacketConn)
		ln, err := n.Listen("tcp", fmt.Sprint(":", addrPort(s.udp.LocalAddr()).Port()))
		if err == nil {
			s.tcp = ln
			break
		}
		s.udp.Close()
		if tries == 0 || port != "0" {
			panic(err)
		}
	}
	s.wg.Go(s.serveUDP)
	s.wg.Go(s.serveTCP)
	t.Cleanup(func() {
		s.udp.Close()
		s.tcp.Close()
		s.wg.Wait()
	})
	return s
}

func (s *nameServer) serveUDP() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		query := slices.Clone(buf[:n])
		reply := s.reply("udp", query)
		if reply == nil {
			continue
		}
		if s.forge != nil {
			s.forge(query, reply, from)
		}
		s.udp.WriteTo(reply, from)
	}
}

func (s *nameServer) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() {
			defer c.Close()
			for {
				var size [2]byte
				if _, err := io.ReadFull(c, size[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(c, query); err != nil {
					return
				}
				reply := s.reply("tcp", query)
				if reply == nil {
					return
				}
				c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
			}
		})
	}
}

// reply answers a query, or returns nil.
func (s *nameServer) reply(network string, query []byte) []byte {
	var m dnsmessage.Message
	must(m.Unpack(query))
	q := m.Questions[0]
	kind := strings.TrimPrefix(q.Type.String(), "Type")
	s.mu.Lock()
	s.asked = append(s.asked, network+" "+kind+" "+q.Name.String())
	s.ids = append(s.ids, m.ID)
	s.mu.Unlock()
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	records, known := s.zone[strings.ToLower(q.Name.String())]
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, r := range records {
		what, data, _ := strings.Cut(r, " ")
		switch {
		case what == "SILENT" && (data == "" || data == kind), what == "HANGUP" && network == "tcp":
			return nil
		case what == "LATE" && data == kind:
			time.Sleep(lateness)
		case what == "SERVFAIL":
			m.RCode = dnsmessage.RCodeServerFailure
		case what == "REFUSED":
			m.RCode = dnsmessage.RCodeRefused
		default:
			m.Answers = append(m.Answers, s.records(q.Name, q.Type, what, data)...)
		}
	}
	reply := must1(m.Pack())
	if network == "udp" && len(reply) > 512 {
		m.Truncated, m.Answers = true, nil
		reply = must1(m.Pack())
	}
	return reply
}

// records makes what answers a question of one line of the zone.
func (s *nameServer) records(name dnsmessage.Name, asked dnsmessage.Type, what, data string) (rs []dnsmessage.Resource) {
	h := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 60}
	r := dnsmessage.Resource{Header: h}
	switch what {
	case "A":
		h.Type, r.Body = dnsmessage.TypeA, &dnsmessage.AResource{A: netip.MustParseAddr(data).As4()}
	case "AAAA":
		h.Type, r.Body = dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(data).As16()}
	case "MX":
		h.Type, r.Body = dnsmessage.TypeMX, &dnsmessage.MXResource{Pref: 10, MX: dnsmessage.MustNewName(data)}
	case "PTR":
		h.Type, r.Body = dnsmessage.TypePTR, &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(data)}
	case "TXT":
		h.Type, r.Body = dnsmessage.TypeTXT, &dnsmessage.TXTResource{TXT: strings.Fields(data)}
	case "CNAME":
		target := dnsmessage.MustNewName(data)
		r.Body = &dnsmessage.CNAMEResource{CNAME: target}
		rs = append(rs, r)
		for _, line := range s.zone[data] {
			what, data, _ := strings.Cut(line, " ")
			rs = append(rs, s.records(target, asked, what, data)...)
		}
		return rs
	}
	if h.Type == asked {
		rs = append(rs, r)
	}
	return rs
}

// queries returns what was asked since the last call.
func (s *nameServer) queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// seenIDs returns the IDs of all queries.
func (s *nameServer) seenIDs() []uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ids)
}
