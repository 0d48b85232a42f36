package redis_test

import (
	"strconv"
	"strings"
	"sync"

	"github.com/tidwall/redcon"

	"github.com/ringtail-net/ringtail/interop/internal/rig"
)

// A store is as much of a Redis server as the tests need.
type store struct {
	channels redcon.PubSub

	mu     sync.Mutex
	values map[string]string
}

func newStore() *store { return &store{values: map[string]string{}} }

// handle answers one command.
func (s *store) handle(conn redcon.Conn, cmd redcon.Command) {
	name, args := strings.ToLower(string(cmd.Args[0])), cmd.Args[1:]
	c, ok := commands[name]
	switch {
	case !ok:
		conn.WriteError("ERR unknown command '" + name + "'")
	case len(args) < c.args:
		conn.WriteError("ERR wrong number of arguments for '" + name + "'")
	default:
		text := make([]string, len(args))
		for i := range args {
			text[i] = string(args[i])
		}
		c.run(s, conn, text)
	}
}

var commands = map[string]struct {
	args int // at least
	run  func(s *store, conn redcon.Conn, args []string)
}{
	"ping":      {0, func(_ *store, conn redcon.Conn, _ []string) { conn.WriteString("PONG") }},
	"set":       {2, (*store).set},
	"get":       {1, (*store).get},
	"del":       {1, (*store).del},
	"incr":      {1, (*store).incr},
	"config":    {0, func(_ *store, conn redcon.Conn, _ []string) { conn.WriteArray(0) }},
	"publish":   {2, func(s *store, conn redcon.Conn, args []string) { conn.WriteInt(s.channels.Publish(args[0], args[1])) }},
	"subscribe": {1, (*store).subscribe},
}

func (s *store) set(conn redcon.Conn, args []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[args[0]] = args[1]
	conn.WriteString("OK")
}

func (s *store) get(conn redcon.Conn, args []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.values[args[0]]; ok {
		conn.WriteBulkString(v)
	} else {
		conn.WriteNull()
	}
}

func (s *store) del(conn redcon.Conn, args []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.values)
	for _, key := range args {
		delete(s.values, key)
	}
	conn.WriteInt(before - len(s.values))
}

func (s *store) incr(conn redcon.Conn, args []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := strconv.Atoi(s.values[args[0]])
	if err != nil && s.values[args[0]] != "" {
		conn.WriteError("ERR value is not an integer or out of range")
		return
	}
	s.values[args[0]] = strconv.Itoa(n + 1)
	conn.WriteInt(n + 1)
}

func (s *store) subscribe(conn redcon.Conn, args []string) {
	for _, channel := range args {
		s.channels.Subscribe(conn, channel)
	}
}

// serve runs a store at the server's end until the test ends.
func serve(r *rig.Rig) (addr string) {
	r.Helper()
	ln, s := r.Listen(), newStore()
	var open sync.WaitGroup
	accept := func(redcon.Conn) bool { open.Add(1); return true }
	closed := func(redcon.Conn, error) { open.Done() }
	server := redcon.NewServer(ln.Addr().String(), s.handle, accept, closed)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	r.Cleanup(func() {
		if err := server.Close(); err != nil {
			r.Errorf("closing the server: %v", err)
		}
		if err := <-served; err != nil {
			r.Errorf("Serve: %v", err)
		}
		open.Wait()
	})
	return ln.Addr().String()
}
