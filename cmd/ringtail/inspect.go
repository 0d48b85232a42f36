package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/ringtail-net/ringtail/hal"
)

// inspection is what a driver says about the target of a spec.
type inspection struct {
	Spec  string    `json:"spec"`
	Ready bool      `json:"ready"` // nothing stands in the way
	Facts []factRow `json:"facts"`
}

type factRow struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Problem string `json:"problem,omitempty"` // and the remedy
}

// inspect asks the driver of a spec about its target.
func inspect(spec string) (inspection, error) {
	s, err := hal.ParseSpec(spec)
	if err != nil {
		return inspection{}, usageError("%w", err)
	}
	all := hal.Drivers()
	d := all[slices.IndexFunc(all, func(d hal.Driver) bool { return d.Name == s.Driver })]
	if d.Inspect == nil {
		return inspection{}, usageError("the driver %s cannot say anything about %q before it is opened; see ringtail drivers %s", d.Name, s.Target, d.Name)
	}
	facts, err := d.Inspect(s)
	if err != nil {
		return inspection{}, usageError("%s: %w", spec, err)
	}
	i := inspection{Spec: spec, Ready: true, Facts: []factRow{}}
	for _, f := range facts {
		i.Facts = append(i.Facts, factRow{f.Name, f.Value, f.Problem})
		i.Ready = i.Ready && f.Problem == ""
	}
	return i, nil
}

// write shows the facts, and below them what stands in the way.
func (i inspection) write(w io.Writer) error {
	fmt.Fprintln(w, i.Spec)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range i.Facts {
		mark := " "
		if f.Problem != "" {
			mark = "!"
		}
		fmt.Fprintf(t, "%s %s\t%s\n", mark, f.Name, f.Value)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range i.Facts {
		if f.Problem != "" {
			fmt.Fprintf(w, "%s: %s\n", f.Name, f.Problem)
		}
	}
	if i.Ready {
		fmt.Fprintln(w, "nothing stands in the way")
	}
	return nil
}
