// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
)

func (c *cli) configCommand() *cobra.Command {
	cmd := c.group(&cobra.Command{
		Use:   "config COMMAND",
		Short: "say where daemons are, and which one is meant",
		Long: `Config changes the configuration file: contexts, each a daemon and how to speak to it. The file is
$TRANSITCTL_CONFIG, or transitctl/config.yaml in $XDG_CONFIG_HOME.`,
		Example: `  transitctl config set-context lab --host https://lab.example:7443 --cert me.crt --key me.key --ca ca.crt
  transitctl config use-context lab`,
	}, "command")
	cmd.AddCommand(
		&cobra.Command{
			Use: "get-contexts", Short: "list the contexts", Args: c.args(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
			RunE: c.withConfig(func(cfg *config, _ []string) error {
				if c.output == "name" {
					for _, x := range cfg.All {
						fmt.Fprintln(c.out, x.Name)
					}
					return nil
				}
				if done, err := c.own(cfg); done {
					return err
				}
				t := &table{}
				if !c.noHeaders {
					t.rows = append(t.rows, []cell{{text: " "}, {"NAME", bold}, {"HOST", bold}, {"CERT", bold}, {"CA", bold}})
				}
				for _, x := range cfg.All {
					current := " "
					if x.Name == cfg.Current {
						current = "*"
					}
					t.add(current, x.Name, x.Host, x.Cert, x.CA)
				}
				return t.print(c.out, c.palette(c.out))
			}),
		},
		&cobra.Command{
			Use: "use-context NAME", Short: "make a context the one that is meant", Args: c.args(1, 1), ValidArgsFunction: c.completeContexts,
			RunE: c.withConfig(func(cfg *config, args []string) error {
				if _, err := cfg.need(args[0]); err != nil {
					return err
				}
				cfg.Current = args[0]
				return c.saved(cfg, "context %s is used\n", args[0])
			}),
		},
		&cobra.Command{
			Use: "set-context NAME", Short: "add a context, or change it", Args: c.args(1, 1), ValidArgsFunction: c.completeContexts,
			Long: `Set-context adds a context, or changes what is given of one: --host, --cert, --key, --ca, --server-name.
The first context is used at once.`,
			RunE: c.withConfig(func(cfg *config, args []string) error {
				x := cfg.find(args[0])
				if x == nil {
					cfg.All = append(cfg.All, configContext{Name: args[0]})
					x = &cfg.All[len(cfg.All)-1]
				}
				for _, f := range []struct{ to, from *string }{{&x.Cert, &c.flags.Cert}, {&x.Key, &c.flags.Key}, {&x.CA, &c.flags.CA}} {
					if *f.from == "" {
						continue
					}
					path, err := filepath.Abs(*f.from)
					if err != nil {
						return err
					}
					*f.to = path
				}
				if c.flags.Host != "" {
					x.Host = c.flags.Host
				}
				if c.flags.ServerName != "" {
					x.ServerName = c.flags.ServerName
				}
				if x.Host == "" {
					return usagef("say where the daemon is with --host")
				}
				if _, err := x.check(); err != nil {
					return err
				}
				if len(cfg.All) == 1 {
					cfg.Current = args[0]
				}
				return c.saved(cfg, "context %s is set\n", args[0])
			}),
		},
		&cobra.Command{
			Use: "delete-context NAME", Short: "forget a context", Args: c.args(1, 1), ValidArgsFunction: c.completeContexts,
			RunE: c.withConfig(func(cfg *config, args []string) error {
				if _, err := cfg.need(args[0]); err != nil {
					return err
				}
				cfg.All = slices.DeleteFunc(cfg.All, func(x configContext) bool { return x.Name == args[0] })
				if cfg.Current != args[0] {
					return c.saved(cfg, "context %s is deleted\n", args[0])
				}
				cfg.Current = ""
				return c.saved(cfg, "context %s is deleted; it was in use: without another, this host's daemon is meant\n", args[0])
			}),
		},
		&cobra.Command{
			Use: "view", Short: "print the configuration", Args: c.args(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
			RunE: c.withConfig(func(cfg *config, _ []string) error {
				if done, err := c.own(cfg); done {
					return err
				}
				text, err := indented(cfg)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.out, "# %s\n%s", cfg.path, text)
				return err
			}),
		},
	)
	return cmd
}

func (c *cli) withConfig(f func(cfg *config, args []string) error) func(*cobra.Command, []string) error {
	return c.do(func(_ *cobra.Command, args []string) error {
		cfg, err := readConfig()
		if err != nil {
			return err
		}
		return f(cfg, args)
	})
}

func (c *cli) saved(cfg *config, format string, args ...any) error {
	if err := cfg.write(); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	fmt.Fprintf(c.out, format, args...)
	return nil
}

func (c *cli) completeContexts(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if cfg, err := readConfig(); err == nil && len(args) == 0 {
		for _, x := range cfg.All {
			names = append(names, x.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
