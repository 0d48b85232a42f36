package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringtail-net/ringtail"
)

// A console is what a command knows of the process it runs in.
type console struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) (string, bool)
	terminal bool // lines on err may be redrawn
}

// errUsage is wrapped by complaints about the command line.
var errUsage = errors.New("usage")

// usageError makes an error that leads to exit code 2.
func usageError(format string, args ...any) error {
	return asUsage(fmt.Errorf(format, args...))
}

// asUsage makes err, if it is one, lead to exit code 2, its text unchanged.
func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return usage{err}
}

type usage struct{ error }

func (u usage) Unwrap() error        { return u.error }
func (u usage) Is(target error) bool { return target == errUsage }

// run runs one command line and returns the exit code.
func run(ctx context.Context, args []string, con console) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(con.err, "ringtail: this is a bug, please report it: %v\n", p)
			if _, ok := con.getenv("RINGTAIL_TRACE"); ok {
				con.err.Write(debug.Stack())
			}
			code = 1
		}
	}()
	root := newRoot(con)
	root.SetArgs(args)
	understood := false // the command line, as far as cobra looks at it
	root.PersistentPreRun = func(*cobra.Command, []string) { understood = true }
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(con.err, "ringtail: %s\n", oneLine(err))
	if !understood || errors.Is(err, errUsage) || errors.Is(err, ringtail.ErrConfig) {
		return 2
	}
	return 1
}

// oneLine is the text of err without its line ends.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// newRoot builds the tree of commands.
func newRoot(con console) *cobra.Command {
	root := &cobra.Command{
		Use:   "ringtail",
		Short: "A TCP/IP stack of your own, on any device",
		Long: `Ringtail runs a TCP/IP host inside this process: gVisor's protocols over a
device that you choose with --hal. "ringtail demo" shows one without root and
without a device; "ringtail drivers" lists what there is and what works here.

Options may also come from the environment (--hal is RINGTAIL_HAL, --addr is
RINGTAIL_ADDR, …) or from a JSON file named by --config, whose keys are the
names of flags. A flag beats the environment, and that beats the file. A key that is
no flag is an error; of the environment only the names of the command's flags are read.

Exit codes: 0 all went well, 1 something failed, 2 bad usage or bad input.`,
		Example: `  ringtail demo
  ringtail serve --hal 'tap:rt0?host=10.77.0.1/24' --addr 10.77.0.2/24
  curl http://10.77.0.2/`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(con.in)
	root.SetOut(con.out)
	root.SetErr(con.err)
	root.AddCommand(newDemo(con), newServe(con), newProxy(con), newPing(con), newNC(con), newDrivers(con), newBench(con), newVersion(con))
	for _, c := range root.Commands() {
		addOptionSources(c, con)
	}
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.RunE = root.RunE // without it cobra takes any word for a call for help
	}
	return root
}

// knownCommand complains about a word that is no command.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return usageError("unknown command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usageError("unknown command %q; see ringtail --help", args[0])
}

// nArgs says how many words a command takes.
func nArgs(lo, hi int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < lo || len(args) > hi {
			return usageError("wrong number of arguments; use: %s", c.UseLine())
		}
		return nil
	}
}
