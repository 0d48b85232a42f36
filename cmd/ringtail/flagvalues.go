package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// A list is a flag that may stand more than once, or hold several values between
// commas.
type list[T fmt.Stringer] struct {
	values  *[]T
	parse   func(string) (T, error)
	example string
}

func (l *list[T]) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		v, err := l.parse(strings.TrimSpace(part))
		if err != nil {
			return fmt.Errorf("want %s", l.example)
		}
		*l.values = append(*l.values, v)
	}
	return nil
}

func (l *list[T]) String() string {
	if l.values == nil {
		return ""
	}
	var texts []string
	for _, v := range *l.values {
		texts = append(texts, v.String())
	}
	return strings.Join(texts, ",")
}

func (l *list[T]) Type() string { return "list" }

// A choice is a flag whose value is one of a few words.
type choice struct {
	value string
	of    []string
}

func (c *choice) Set(text string) error {
	if !slices.Contains(c.of, text) {
		return fmt.Errorf("want %s", strings.Join(c.of, " or "))
	}
	c.value = text
	return nil
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return "word" }

// completeChoice makes shells complete the values of a flag.
func completeChoice(c *cobra.Command, flag string, words []string, d cobra.ShellCompDirective) {
	// It fails only for a flag that is not there.
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, d))
}
