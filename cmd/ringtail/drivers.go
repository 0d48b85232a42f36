package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ringtail-net/ringtail/hal"
)

// driverRow is what is known of a driver here.
type driverRow struct {
	Name    string   `json:"name"`
	Summary string   `json:"summary"`
	Target  string   `json:"target"`
	Keys    []keyRow `json:"keys"`
	Works   bool     `json:"works"`
	Why     string   `json:"why,omitempty"` // not, and the remedy
}

type keyRow struct {
	Name string `json:"name"`
	Help string `json:"help"`
	Many bool   `json:"many,omitempty"`
}

func newDrivers(con console) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "drivers [NAME | SPEC]",
		Short: "List the device drivers, and whether they work here",
		Long: `Drivers lists what --hal can name: the drivers that this program was built
with, whether they work on this machine for this user, and if not, why and what
helps. With a NAME it lists the keys of that driver's specs. With a SPEC it tells
what the driver finds at that target, and what stands in the way of opening it;
it opens nothing and changes nothing.`,
		Example: `  ringtail drivers
  ringtail drivers tap
  ringtail drivers afxdp:eth1
  ringtail drivers --json | jq -r '.[] | select(.works) | .name'`,
		Args: nArgs(0, 1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, d := range driverRows() {
				names = append(names, d.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			what, write, err := describe(args)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(con.out, what)
			}
			return write(con.out)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

// describe finds what the command was asked for, and how to write it for people.
func describe(args []string) (what any, write func(io.Writer) error, err error) {
	if len(args) > 0 && strings.Contains(args[0], ":") {
		i, err := inspect(args[0])
		return i, i.write, err
	}
	rows := driverRows()
	if len(args) == 0 {
		return rows, func(w io.Writer) error { return writeDrivers(w, rows) }, nil
	}
	for _, d := range rows {
		if d.Name == args[0] {
			return d, func(w io.Writer) error { return writeDriver(w, d) }, nil
		}
	}
	return nil, nil, usageError("unknown driver %q; see ringtail drivers", args[0])
}

func driverRows() []driverRow {
	var rows []driverRow
	for _, d := range hal.Drivers() {
		row := driverRow{Name: d.Name, Summary: d.Summary, Target: d.Target, Keys: []keyRow{}, Works: true}
		for _, k := range d.Keys {
			row.Keys = append(row.Keys, keyRow{k.Name, k.Help, k.Many})
		}
		if d.Probe != nil {
			if err := d.Probe(); err != nil {
				row.Works, row.Why = false, oneLine(err)
			}
		}
		rows = append(rows, row)
	}
	return append(rows, driverRow{
		Name:    "kernel",
		Summary: "the operating system's own sockets, no device",
		Target:  "nothing",
		Keys:    []keyRow{},
		Why:     "not built yet",
	})
}

func writeDrivers(w io.Writer, rows []driverRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DRIVER\tHERE\tWHAT IT IS")
	for _, d := range rows {
		here := "works"
		if !d.Works {
			here = "no"
		}
		fmt.Fprintf(t, "%s:\t%s\t%s\n", d.Name, here, d.Summary)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, d := range rows {
		if !d.Works {
			fmt.Fprintf(w, "%s: %s\n", d.Name, d.Why)
		}
	}
	return nil
}

func writeDriver(w io.Writer, d driverRow) error {
	fmt.Fprintf(w, "%s: %s\ntarget: %s\n", d.Name, d.Summary, d.Target)
	if !d.Works {
		fmt.Fprintf(w, "does not work here: %s\n", d.Why)
	}
	if len(d.Keys) == 0 {
		fmt.Fprintln(w, "it has no keys")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, k := range d.Keys {
		many := ""
		if k.Many {
			many = " (repeatable)"
		}
		fmt.Fprintf(t, "  %s\t%s%s\n", k.Name, k.Help, many)
	}
	return t.Flush()
}
