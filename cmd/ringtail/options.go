package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ringtail-net/ringtail"
)

// addOptionSources lets the options of a command also come from the environment
// and from a file.
func addOptionSources(c *cobra.Command, con console) {
	c.Flags().String("config", "", "read options from the JSON `file`; its keys are names of flags")
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		given := func(f *pflag.Flag) bool { return f.Changed }
		if err := fromEnvironment(c.Flags(), con.getenv); err != nil {
			return asUsage(err)
		}
		if f := c.Flags().Lookup("config"); given(f) {
			return asUsage(fromFile(c, f.Value.String()))
		}
		return nil
	}
}

// fromEnvironment sets the flags that were not given from their variables.
func fromEnvironment(fs *pflag.FlagSet, getenv func(string) (string, bool)) error {
	var errs error
	fs.VisitAll(func(f *pflag.Flag) {
		text, ok := getenv(ringtail.EnvName(f.Name))
		if !ok || f.Changed || f.Name == "help" || errs != nil {
			return
		}
		if err := fs.Set(f.Name, text); err != nil {
			errs = fmt.Errorf("%s: %w", ringtail.EnvName(f.Name), err)
		}
	})
	return errs
}

// fromFile sets the flags that are still not given from a file. The file may
// serve several commands: a key must be a flag of some command, and counts where
// it is one of c.
func fromFile(c *cobra.Command, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	options, err := parseOptions(text)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	known := knownOptions(c.Root())
	for _, o := range options {
		f := c.Flags().Lookup(o.name)
		if !slices.Contains(known, o.name) {
			return fmt.Errorf("%s: unknown key %q; known: %s", name, o.name, strings.Join(known, ", "))
		}
		if f == nil || f.Changed {
			continue
		}
		for _, v := range o.values {
			if err := c.Flags().Set(o.name, v); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// knownOptions lists the flags of all commands that a file may set.
func knownOptions(root *cobra.Command) []string {
	var names []string
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if c.Flags().Lookup("config") != nil && f.Name != "config" && f.Name != "help" {
				names = append(names, f.Name)
			}
		})
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// An option is one key of a file with its values, as texts.
type option struct {
	name   string
	values []string
}

// parseOptions reads a JSON object whose values are texts, numbers, booleans or,
// for a flag that may stand more than once, lists of them. Keys come back sorted.
func parseOptions(text []byte) ([]option, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("line %d: %w", 1+strings.Count(string(text[:syntax.Offset]), "\n"), err)
		}
		return nil, errors.New("the file must hold one JSON object")
	}
	var options []option
	for name, raw := range object {
		list := []json.RawMessage{raw}
		if raw[0] == '[' {
			if err := json.Unmarshal(raw, &list); err != nil {
				return nil, fmt.Errorf("key %q: %w", name, err)
			}
		}
		o := option{name: name}
		for _, r := range list {
			v, err := optionText(r)
			if err != nil {
				return nil, fmt.Errorf("key %q: %w", name, err)
			}
			o.values = append(o.values, v)
		}
		options = append(options, o)
	}
	slices.SortFunc(options, func(a, b option) int { return strings.Compare(a.name, b.name) })
	return options, nil
}

// optionText turns a JSON value into what would stand on a command line.
func optionText(raw json.RawMessage) (string, error) {
	var text string
	switch raw[0] {
	case '"':
		err := json.Unmarshal(raw, &text)
		return text, err
	case '{', '[', 'n':
		return "", errors.New("the value must be a text, a number or a boolean, or a list of them")
	}
	return string(raw), nil
}
