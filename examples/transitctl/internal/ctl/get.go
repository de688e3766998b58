// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

func (c *cli) getCommand() *cobra.Command {
	cmd := c.group(&cobra.Command{
		Use: "get NOUN [KEY...]", Short: "read what there is",
		Long: `Get reads what there is of a noun: all, or what the keys name. With -o json a list reads {"vpcs":[...]}, as the
API has it, and what one key names is printed bare.`,
		Example: `  transitctl get vpcs
  transitctl get endpoint 7/10.0.0.2 -o yaml
  transitctl get local-endpoints --vni 7 -o wide
  transitctl get state -o yaml --objects > host.yaml`,
	}, "noun")
	for _, n := range c.nouns {
		cmd.AddCommand(c.getNoun(n))
	}
	cmd.AddCommand(c.getState())
	return cmd
}

// names are what else a noun is called than its command is.
func (n *noun) names(but string) []string {
	var all []string
	for _, name := range append([]string{n.name, n.plural}, n.aliases...) {
		if name != but {
			all = append(all, name)
		}
	}
	return all
}

func (c *cli) getNoun(n *noun) *cobra.Command {
	cmd := &cobra.Command{
		Use: n.plural, Aliases: n.names(n.plural), Short: n.short, Args: c.args(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
	}
	switch {
	case n.within:
		cmd.Use, cmd.Args, cmd.ValidArgsFunction = n.plural+" "+n.keyHelp, c.args(1, 1), c.completeMaps
	case n.keyHelp != "":
		cmd.Use, cmd.Args, cmd.ValidArgsFunction = n.plural+" ["+n.keyHelp+"...]", c.args(0, -1), c.completeKeys(n)
	}
	filters := c.values(cmd, n.list.request(), n.filters)
	cmd.RunE = c.ask(short, func(ctx context.Context, keys []string) error {
		in := n.list.request()
		if err := fill(in, filters); err != nil {
			return err
		}
		if n.within {
			if err := n.naming(in, keys[0]); err != nil {
				return err
			}
			keys = nil
		}
		if len(keys) > 0 {
			for _, f := range filters {
				if len(f.texts) > 0 {
					return usagef("--%s is of a list: a key says which one", f.name)
				}
			}
			return c.getKeys(ctx, n, keys)
		}
		all, err := n.list.merged(ctx, c.api, in)
		if err != nil {
			return err
		}
		if n.list.streamed {
			n.sort(all)
		}
		return c.printList(n, all)
	})
	return cmd
}

// getKeys prints what keys name: one alone as it is, several as a list. It goes on where one of several fails.
func (c *cli) getKeys(ctx context.Context, n *noun, keys []string) error {
	var found []proto.Message
	var errs []error
	for _, key := range keys {
		m, err := c.read(ctx, n, key)
		if err != nil {
			errs = append(errs, err)
		} else {
			found = append(found, m)
		}
		if hopeless(ctx, err) {
			break
		}
	}
	if len(found) == 0 {
		return errors.Join(errs...)
	}
	if len(keys) == 1 {
		if done, err := c.structured(found[0]); done {
			return err
		}
	}
	all := n.list.response().ProtoReflect()
	l := all.Mutable(resourceField(all)).List()
	for _, m := range found {
		l.Append(protoreflect.ValueOfMessage(m.ProtoReflect()))
	}
	return errors.Join(append(errs, c.printList(n, all.Interface()))...)
}

// read reads one; where there is no call for that, it is looked up among all.
func (c *cli) read(ctx context.Context, n *noun, key string) (found proto.Message, err error) {
	if n.get != nil {
		in := n.get.request()
		if err := n.naming(in, key); err != nil {
			return nil, err
		}
		err := n.get.call(ctx, c.api, in, func(out proto.Message) error {
			m := out.ProtoReflect()
			found = m.Get(resourceField(m)).Message().Interface()
			return nil
		})
		return found, err
	}
	wanted := n.resource()
	if err := n.naming(wanted, key); err != nil {
		return nil, err
	}
	all, err := n.list.merged(ctx, c.api, n.list.request())
	if err != nil {
		return nil, err
	}
	for _, m := range items(all) {
		if n.keyOf(m) == n.keyOf(wanted) {
			return m, nil
		}
	}
	missing := connect.NewError(connect.CodeNotFound, fmt.Errorf("get %s %s: there is none", n.name, n.keyOf(wanted)))
	if d, err := connect.NewErrorDetail(&v1.ErrorDetail{Cause: v1.Cause_CAUSE_NOT_FOUND, Kind: n.kind, Key: n.keyOf(wanted)}); err == nil {
		missing.AddDetail(d)
	}
	return nil, missing
}

func (c *cli) printList(n *noun, all proto.Message) error {
	if done, err := c.structured(all); done {
		return err
	}
	list := items(all)
	if c.output == "name" {
		for _, m := range list {
			if _, err := fmt.Fprintln(c.out, c.nameOf(n, m)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintln(c.err, "no "+n.content())
		return nil
	}
	if err := n.table(list, c.output == "wide", !c.noHeaders).print(c.out, c.palette(c.out)); err != nil {
		return err
	}
	if counters, ok := all.(*v1.ListCountersResponse); ok && counters.GetEventsLost() > 0 {
		fmt.Fprintf(c.err, "%d drops were never shown as events\n", counters.GetEventsLost())
	}
	return nil
}

// nameOf is what -o name prints: vpc/7.
func (c *cli) nameOf(n *noun, m proto.Message) string { return clean(n.name + "/" + n.keyOf(m)) }

func (c *cli) getState() *cobra.Command {
	var names []string
	var objects bool
	cmd := &cobra.Command{
		Use: "state", Short: "the state of the host, as apply takes it", Args: c.args(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `State is all that the host is asked to be, as apply takes it. Functions come without their objects, and can
be applied again only with --objects, or with an objectFile added.`,
		Example: `  transitctl get state -o yaml --objects > host.yaml
  transitctl get state --kinds vpcs,networks`,
	}
	c.kindsFlag(cmd, &names, "only these")
	cmd.Flags().BoolVar(&objects, "objects", false, "with the objects of functions")
	cmd.RunE = c.ask(short, func(ctx context.Context, _ []string) error {
		kinds, err := c.kinds(names)
		if err != nil {
			return err
		}
		out, err := stream((*api).GetState).merged(ctx, c.api, &v1.GetStateRequest{Kinds: kinds, Objects: objects})
		if err != nil {
			return err
		}
		answer := out.(*v1.GetStateResponse)
		state := answer.GetState()
		if state == nil {
			state = new(v1.State)
		}
		if c.output == "name" {
			return c.stateNames(c.out, state)
		}
		if done, err := c.structured(state); done {
			return err
		}
		if err := c.printState(state); err != nil {
			return err
		}
		if c.output == "wide" && answer.GetEtag() != "" {
			_, err = fmt.Fprintf(c.out, "\netag %s\n", clean(answer.GetEtag()))
		}
		return err
	})
	return cmd
}

func (c *cli) stateNames(out io.Writer, state *v1.State) error {
	for _, n := range c.nouns {
		if n.kind == v1.Kind_KIND_UNSPECIFIED {
			continue
		}
		l := state.ProtoReflect().Get(n.stateField()).List()
		for i := range l.Len() {
			if _, err := fmt.Fprintln(out, c.nameOf(n, l.Get(i).Message().Interface())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *cli) kindsFlag(cmd *cobra.Command, names *[]string, usage string) {
	cmd.Flags().StringSliceVar(names, "kinds", nil, usage+": "+strings.Join(c.kindNames(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("kinds", inList(cobra.FixedCompletions(c.kindNames(), cobra.ShellCompDirectiveNoFileComp)))
}
