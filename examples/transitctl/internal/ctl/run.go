// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// cli is one run.
type cli struct {
	ctx      context.Context
	in       io.Reader
	out, err io.Writer
	nouns    []*noun

	// Of the command line.
	flags     target
	context   string
	output    string
	color     string
	timeout   time.Duration
	noHeaders bool

	started bool // the command line makes sense
	api     *api
	at      string // where that is
	close   func()
	begun   string       // what is to be said of a write that ends before its answer
	refusal func() error // why connections end; nil where it cannot be the client's certificate
}

// Run runs transitctl with arguments, and has its exit code. It stops early when the context ends.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{ctx: ctx, in: stdin, out: stdout, err: stderr, nouns: nouns(), close: func() {}}
	root := c.root()
	root.SetArgs(slices.Concat([]string{}, args)) // nil would be those of the process
	err := root.ExecuteContext(ctx)
	c.close()
	if err != nil && !c.started {
		err = usageError{err}
	}
	return c.report(err)
}

func (c *cli) root() *cobra.Command {
	root := c.group(&cobra.Command{
		Use:   "transitctl VERB NOUN [KEY]",
		Short: "drive a transit daemon, here or on another host",
		Long: `Transitctl drives a transit daemon, here or on another host.

Every command is a verb and a noun, then a key: get vpc 7, delete network 7/10.0.0.0/24.

  get     reads any noun, all of it or by keys
  add     writes a row: peer, vpc, network, endpoint (on another host), bridge, route, address
  create  makes what has a life of its own: droplet, endpoint (on this host: local-endpoint), function
  set     says what is always there anew: stage, function-map
  delete  takes away what was added, created or set
  apply   takes the whole state of a host from a file, and does what is different

Writes can be repeated. What is there already and differs is not replaced, unless by --force, or by --etag if it is
still the one that was read.

The daemon is this host's, by its socket ` + defaultHost + `, or the one
that --host, --context or the context in use (transitctl config) name.

` + exitHelp,
		Example: `  transitctl get endpoints --vni 7 -o wide
  transitctl add vpc 7 --divider 192.0.2.1
  transitctl create endpoint 7/10.0.0.1/24 --netns web
  transitctl apply -f host.yaml --dry-run
  transitctl watch events --reason DROP_SPOOF_ADDRESS
  transitctl trace 7 10.0.0.1 10.0.0.2`,
		SilenceErrors: true, SilenceUsage: true,
	}, "command")
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w: see `%s --help`", err, cmd.CommandPath())
	})
	// A group says in its Use what follows, better than the template's [command] does.
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), `{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{end}}`, ""))
	p := root.PersistentFlags()
	p.StringVar(&c.flags.Host, "host", "", "the daemon: unix:///PATH, or https://NAME:PORT (default: of the context, or "+defaultHost+")")
	p.StringVar(&c.context, "context", "", "the context that says which daemon (default: the one in use)")
	p.StringVar(&c.flags.Cert, "cert", "", "file of the client's certificate")
	p.StringVar(&c.flags.Key, "key", "", "file of its key")
	p.StringVar(&c.flags.CA, "ca", "", "file of who signs daemons' certificates (default: the system's)")
	p.StringVar(&c.flags.ServerName, "server-name", "", "name in the daemon's certificate (default: the host's)")
	p.DurationVar(&c.timeout, "timeout", -1, "how long a command may take, 0 without end (default 1m; apply, watch and files of endpoints: without end)")
	p.StringVarP(&c.output, "output", "o", "table", "form of the output: "+strings.Join(forms(), ", "))
	p.StringVar(&c.color, "color", "auto", "colours: auto, always or never; $NO_COLOR is heeded")
	p.BoolVar(&c.noHeaders, "no-headers", false, "tables have no titles")
	p.Lookup("timeout").DefValue = "0" // which help does not print
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms(), cobra.ShellCompDirectiveNoFileComp))
	_ = root.RegisterFlagCompletionFunc("color", cobra.FixedCompletions([]string{"auto", "always", "never"}, cobra.ShellCompDirectiveNoFileComp))
	_ = root.RegisterFlagCompletionFunc("context", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return c.completeContexts(cmd, nil, typed)
	})
	root.AddCommand(
		c.getCommand(), c.makeCommand(add), c.makeCommand(create), c.makeCommand(set), c.deleteCommand(), c.applyCommand(),
		c.watchCommand(), c.traceCommand(), c.healthCommand(), c.versionCommand(), c.configCommand(),
	)
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Use = "completion SHELL"
			c.group(cmd, "shell")
		}
		if strings.Contains(cmd.Use, "NOUN") {
			cmd.AddGroup(&cobra.Group{ID: "nouns", Title: "Nouns:"})
			for _, n := range cmd.Commands() {
				n.GroupID = "nouns"
			}
		}
	}
	return root
}

// group makes a command that takes one of its own: alone it prints its help, and what it does not know is a mistake.
func (c *cli) group(cmd *cobra.Command, what string) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return usagef("%q is no %s of %s: %s", args[0], what, cmd.CommandPath(), c.instead(cmd, args[0]))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.DisableFlagsInUseLine = true
	return cmd
}

// instead is what to type instead of a word that a command does not know.
func (c *cli) instead(cmd *cobra.Command, word string) string {
	name, key, keyed := strings.Cut(word, "/") // as -o name prints it
	n, err := c.find(name)
	verb := cmd.Name()
	switch {
	case !cmd.HasParent():
		verb = "get"
	case n != nil && n.verb != "" && slices.Contains([]string{add, create, set}, verb):
		verb = n.verb
	}
	cmd.SuggestionsMinimumDistance = 2
	like := cmd.SuggestionsFor(word)
	switch {
	case err == nil && (keyed || verb != cmd.Name()):
		return fmt.Sprintf("it reads `%s`", strings.TrimSpace(fmt.Sprintf("transitctl %s %s %s", verb, n.name, key)))
	case err == nil && verb == "watch" && n.kind != v1.Kind_KIND_UNSPECIFIED:
		return fmt.Sprintf("it reads `transitctl watch events --kinds %s`", n.plural)
	case len(like) > 0:
		return "is it " + strings.Join(like, " or ") + "?"
	}
	return fmt.Sprintf("see `%s --help`", cmd.CommandPath())
}

// args wants so many of them.
func (c *cli) args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("something is missing: it reads %s", cmd.UseLine())
		case most >= 0 && len(args) > most:
			return usagef("%q is too much: it reads %s", args[most], cmd.UseLine())
		}
		return nil
	}
}

// do runs a command once it is known to make sense.
func (c *cli) do(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		for _, choice := range []struct {
			flag, value string
			of          []string
		}{{"output", c.output, forms()}, {"color", c.color, []string{"auto", "always", "never"}}} {
			if !slices.Contains(choice.of, choice.value) {
				return usagef("--%s %q is none of %s", choice.flag, choice.value, strings.Join(choice.of, ", "))
			}
		}
		if c.timeout < 0 && cmd.Flags().Changed("timeout") {
			return usagef("--timeout %s is none", c.timeout)
		}
		c.started = true
		return f(cmd, args)
	}
}

// ask runs a command that speaks to the daemon, for as long as it may. Usual is how long if nobody says; zero is
// without end.
func (c *cli) ask(usual time.Duration, f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return c.do(func(cmd *cobra.Command, args []string) error {
		if err := c.dial(); err != nil {
			return err
		}
		limit := c.timeout
		if limit < 0 {
			limit = usual
		}
		ctx := cmd.Context()
		if limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit)
			defer cancel()
		}
		return f(ctx, args)
	})
}

// short is how long a call may take that does one thing.
const short = time.Minute
