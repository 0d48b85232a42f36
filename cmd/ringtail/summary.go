package main

import (
	"slices"
	"time"
)

// A summary is what is worth knowing of many times.
type summary struct {
	Count  int           `json:"count"`
	Min    time.Duration `json:"min_ns"`
	Median time.Duration `json:"median_ns"`
	P99    time.Duration `json:"p99_ns"`
	Max    time.Duration `json:"max_ns"`
}

// summarize returns the zero summary of nothing.
func summarize(times []time.Duration) summary {
	n := len(times)
	if n == 0 {
		return summary{}
	}
	s := slices.Sorted(slices.Values(times))
	return summary{Count: n, Min: s[0], Median: s[n/2], P99: s[min(n-1, n*99/100)], Max: s[n-1]}
}
