package main

import (
	"github.com/spf13/cobra"
)

func newBench(con console) *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure",
		Long: `Bench measures, always beside a yardstick in the same run: what counts is the
ratio, not the figure.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("unknown benchmark %q; known: raw", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newBenchRaw(con), newBenchLoop(con))
	return c
}
