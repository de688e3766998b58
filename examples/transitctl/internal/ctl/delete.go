// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

func (c *cli) deleteCommand() *cobra.Command {
	cmd := c.group(&cobra.Command{
		Use: "delete NOUN KEY...", Aliases: []string{"remove", "rm"}, Short: "take away what was added, created or set",
		Long: `Delete takes away what was added, created or set. It goes on where one of several keys fails.`,
		Example: `  transitctl delete network 7/10.0.0.0/24
  transitctl delete local-endpoint 7/10.0.0.1
  transitctl delete peer 192.0.2.0/24 --ignore-not-found`,
	}, "noun")
	for _, n := range c.nouns {
		if n.remove != nil {
			cmd.AddCommand(c.deleteNoun(n))
		}
	}
	return cmd
}

func (c *cli) deleteNoun(n *noun) *cobra.Command {
	var etag string
	var missing bool
	cmd := &cobra.Command{
		Use: n.name + " " + n.keyHelp + "...", Aliases: n.names(n.name), Short: n.short, Args: c.args(1, -1),
		ValidArgsFunction: c.completeKeys(n),
	}
	if n.kind == v1.Kind_KIND_LOCAL_ENDPOINT {
		cmd.Long = "An endpoint of this host is named by one of its addresses, or by its interface on the host's side."
	}
	cmd.Flags().StringVar(&etag, "etag", "", "only if this is its etag; with one key")
	cmd.Flags().BoolVar(&missing, "ignore-not-found", false, "that there is none is no error")
	one := c.ask(short, func(ctx context.Context, keys []string) error {
		if etag != "" && len(keys) > 1 {
			return usagef("--etag takes one key")
		}
		var errs []error
		for _, key := range keys {
			in := n.remove.request()
			if err := n.naming(in, key); err != nil {
				return err
			}
			if err := put(in.ProtoReflect(), "etag", etag); err != nil {
				return err
			}
			if missing {
				if err := put(in.ProtoReflect(), "allow_missing", "true"); err != nil {
					return err
				}
			}
			err := n.remove.call(ctx, c.api, in, func(out proto.Message) error {
				if c.output == "name" {
					_, err := c.out.Write([]byte(n.name + "/" + key + "\n"))
					return err
				}
				if c.output == "json" {
					return c.line(out)
				}
				if c.output == "yaml" && len(keys) > 1 {
					if _, err := c.out.Write([]byte("---\n")); err != nil {
						return err
					}
				}
				if done, err := c.structured(out); done {
					return err
				}
				return c.done(clean(n.name+"/"+key), outcomeOf(out))
			})
			if err != nil {
				errs = append(errs, err)
			}
			if hopeless(ctx, err) {
				break
			}
		}
		return errors.Join(errs...)
	})
	cmd.RunE = one
	if n.kind == v1.Kind_KIND_ENDPOINT {
		c.deleteMany(cmd, one)
	}
	return cmd
}
