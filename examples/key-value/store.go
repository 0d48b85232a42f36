package main

import "strings"

// A store is what the server remembers, up to a limit.
type store struct {
	values map[string]string
	left   int // bytes
}

func newStore(limit int) *store { return &store{values: map[string]string{}, left: limit} }

// overhead is about what a map takes for an entry, in bytes.
const overhead = 64

func (s *store) get(key string) (value string, ok bool) {
	value, ok = s.values[key]
	return value, ok
}

// set returns false if the limit forbids it; then nothing has changed.
func (s *store) set(key, value string) bool {
	cost := overhead + len(key) + len(value)
	old, replaces := s.values[key]
	if replaces {
		cost = len(value) - len(old)
	}
	if cost > s.left {
		return false
	}
	s.left -= cost
	// Copies: what it was given may be a part of a long line.
	s.values[strings.Clone(key)] = strings.Clone(value)
	return true
}

// del returns how many keys it has removed.
func (s *store) del(key string) int {
	value, ok := s.values[key]
	if !ok {
		return 0
	}
	s.left += overhead + len(key) + len(value)
	delete(s.values, key)
	return 1
}
