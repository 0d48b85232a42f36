package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versions are what a bug report should name.
type versions struct {
	Ringtail string `json:"ringtail"`
	GVisor   string `json:"gvisor"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(con console) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of ringtail, gVisor and Go",
		Example: "  ringtail version --json",
		Args:    nArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v := readVersions()
			if asJSON {
				return writeJSON(con.out, v)
			}
			_, err := fmt.Fprintf(con.out, "ringtail %s (gVisor %s, %s, %s)\n", v.Ringtail, v.GVisor, v.Go, v.Platform)
			return err
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func readVersions() versions {
	v := versions{"unknown", "unknown", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Ringtail = info.Main.Version
	}
	for _, d := range info.Deps {
		if d.Path == "gvisor.dev/gvisor" {
			v.GVisor = d.Version
		}
	}
	return v
}

func jsonFlag(c *cobra.Command, p *bool) {
	c.Flags().BoolVar(p, "json", false, "print JSON for a script")
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
