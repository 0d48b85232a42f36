package main

import (
	"bytes"
	"fmt"
	"strings"
)

// What a session holds is bounded by these, in bytes: its input by twice
// longestLine, its answers by enoughAnswers and one value.
const (
	longestLine   = 16 << 10
	enoughAnswers = 16 << 10
)

// A session is the protocol of one connection, without the connection.
type session struct {
	store   *store
	input   []byte // not executed yet
	answers []byte
	done    bool // the client has said goodbye, or is not understood any more
}

// feed adds what has come from the client: at most longestLine bytes, and only
// after an execute that had no answers.
func (s *session) feed(p []byte) { s.input = append(s.input, p...) }

// execute executes the commands that have come, until there are enough answers
// for now. It returns those, which are the session's until the next call, and
// whether the session is over when they have been sent.
func (s *session) execute() (answers []byte, done bool) {
	s.answers = s.answers[:0]
	rest := s.input
	for !s.done && len(s.answers) < enoughAnswers {
		line, tail, complete := bytes.Cut(rest, []byte("\n"))
		if !complete {
			break
		}
		rest = tail
		s.command(string(bytes.TrimSuffix(line, []byte("\r"))))
	}
	s.input = append(s.input[:0], rest...)
	if len(s.answers) == 0 && len(s.input) > longestLine {
		s.fail("line too long")
		s.done = true
	}
	return s.answers, s.done
}

// command executes one line.
func (s *session) command(line string) {
	verb, args, _ := strings.Cut(strings.TrimSpace(line), " ")
	args = strings.TrimSpace(args)
	switch verb = strings.ToUpper(verb); verb {
	case "":
	case "PING":
		s.say("+PONG")
	case "QUIT":
		s.say("+OK")
		s.done = true
	case "SET":
		key, value, ok := strings.Cut(args, " ")
		switch {
		case !ok:
			s.fail("SET wants a key and a value")
		case !s.store.set(key, strings.TrimSpace(value)):
			s.fail("no memory is left for that")
		default:
			s.say("+OK")
		}
	case "GET":
		if value, ok := s.store.get(args); ok {
			s.say(fmt.Sprintf("$%d\r\n%s", len(value), value))
		} else {
			s.say("$-1")
		}
	case "DEL":
		n := 0
		for key := range strings.FieldsSeq(args) {
			n += s.store.del(key)
		}
		s.say(fmt.Sprintf(":%d", n))
	default:
		s.fail(fmt.Sprintf("unknown command %.20q", verb))
	}
}

func (s *session) say(answer string) { s.answers = append(append(s.answers, answer...), "\r\n"...) }
func (s *session) fail(why string)   { s.say("-ERR " + why) }
