// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// makeCommand is add, create or set.
func (c *cli) makeCommand(verb string) *cobra.Command {
	long := map[string]string{
		add:    "write a row of a table, or of the host's plumbing",
		create: "make what has a life of its own",
		set:    "say anew what is always there",
	}
	cmd := c.group(&cobra.Command{
		Use: verb + " NOUN KEY", Short: long[verb],
		Long: "The command " + verb + ` can be repeated: what is there already and says the same is left alone. What differs is
replaced with --force, or with --etag if it is still the one that was read.`,
	}, "noun")
	for _, n := range c.nouns {
		if n.verb == verb {
			cmd.AddCommand(c.makeNoun(n))
		}
	}
	if verb == set {
		cmd.AddCommand(c.setMap())
	}
	return cmd
}

// replacing are the flags of a write that may replace something.
type replacing struct {
	force bool
	etag  string
}

func (r *replacing) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.force, "force", false, "replace what is there, whatever it is")
	cmd.Flags().StringVar(&r.etag, "etag", "", "replace what is there if this is its etag")
	_ = cmd.RegisterFlagCompletionFunc("etag", cobra.NoFileCompletions)
}

func (r *replacing) value() (string, error) {
	if r.force && r.etag != "" {
		return "", usagef("--force and --etag: only one of the two can be")
	}
	if r.force {
		return "*", nil
	}
	return r.etag, nil
}

func (c *cli) makeNoun(n *noun) *cobra.Command {
	var replace replacing
	name := n.name
	aliases := n.names(name)
	if n.kind == v1.Kind_KIND_LOCAL_ENDPOINT {
		aliases = append(aliases, "endpoint", "endpoints") // what is created can only be here
	}
	cmd := &cobra.Command{
		Use: name + " " + cmp.Or(n.makeKey, n.keyHelp), Aliases: aliases, Short: n.short, Args: c.args(1, 1),
		Example: "  " + n.example, ValidArgsFunction: cobra.NoFileCompletions,
	}
	if n.kind == v1.Kind_KIND_STAGE {
		cmd.ValidArgsFunction = completePoints
		cmd.Long = "Points are " + strings.Join(enumWords(v1.StagePoint(0).Descriptor()), ", ") + `. A stage is of all packets, of those of a VPC, or of those of one endpoint
of this host. To have none there again, delete it.`
	}
	values := c.values(cmd, n.resource(), n.flags)
	replace.flags(cmd)
	write := func(ctx context.Context, key string, more func(m proto.Message) error) error {
		m := n.resource()
		if err := n.making(m, key); err != nil {
			return err
		}
		if err := fill(m, values); err != nil {
			return err
		}
		etag, err := replace.value()
		if err != nil {
			return err
		}
		if err := put(m.ProtoReflect(), "etag", etag); err != nil {
			return err
		}
		if more != nil {
			if err := more(m); err != nil {
				return err
			}
		}
		return c.write(ctx, n, m)
	}
	switch n.kind {
	case v1.Kind_KIND_FUNCTION:
		c.functionFile(cmd, write)
	case v1.Kind_KIND_ENDPOINT:
		one := c.ask(short, func(ctx context.Context, keys []string) error { return write(ctx, keys[0], nil) })
		c.addMany(cmd, values, &replace, one)
	default:
		cmd.RunE = c.ask(short, func(ctx context.Context, keys []string) error { return write(ctx, keys[0], nil) })
	}
	return cmd
}

// functionFile has a command take a function's object from a file.
func (c *cli) functionFile(cmd *cobra.Command, write func(context.Context, string, func(proto.Message) error) error) {
	file := cmd.Flags().StringP("file", "f", "", "the compiled object, - for standard input")
	cmd.RunE = c.ask(short, func(ctx context.Context, keys []string) error {
		if *file == "" {
			return usagef("name the compiled object with -f")
		}
		object, _, err := c.open(*file)
		if err != nil {
			return err
		}
		return write(ctx, keys[0], func(m proto.Message) error {
			m.(*v1.Function).Object = object
			return nil
		})
	})
}

// write writes a resource, and says what became of it.
func (c *cli) write(ctx context.Context, n *noun, m proto.Message) error {
	in := n.put.request()
	r := in.ProtoReflect()
	r.Set(resourceField(r), protoreflect.ValueOfMessage(m.ProtoReflect()))
	c.begun = "it may be done all the same, and can be asked for again"
	err := n.put.call(ctx, c.api, in, func(out proto.Message) error {
		r := out.ProtoReflect()
		now := r.Get(resourceField(r)).Message()
		if !now.IsValid() {
			now = m.ProtoReflect()
		}
		if done, err := c.structured(now.Interface()); done {
			return err
		}
		if c.output == "name" {
			_, err := fmt.Fprintln(c.out, c.nameOf(n, now.Interface()))
			return err
		}
		return c.done(c.nameOf(n, now.Interface()), outcomeOf(out))
	})
	if err != nil {
		return writeError{err, n, ""}
	}
	return nil
}

func outcomeOf(m proto.Message) v1.Outcome {
	return m.(interface{ GetOutcome() v1.Outcome }).GetOutcome()
}

// done says what became of something.
func (c *cli) done(name string, o v1.Outcome) error {
	colors := map[v1.Outcome]color{
		v1.Outcome_OUTCOME_ADDED: green, v1.Outcome_OUTCOME_REPLACED: yellow, v1.Outcome_OUTCOME_REMOVED: red,
	}
	_, err := fmt.Fprintln(c.out, name, c.palette(c.out).paint(colors[o], word(o)))
	return err
}

// setMap writes entries of a function's map.
func (c *cli) setMap() *cobra.Command {
	var entries, deletes []string
	cmd := &cobra.Command{
		Use: "function-map FUNCTION/MAP", Aliases: []string{"function-maps"}, Short: "entries of a function's own map",
		Long: `Set function-map writes entries of a function's own map, then deletes others. Keys and values are bytes in hex, as
the program sees them.`,
		Example: "  transitctl set function-map firewall/rules --entry 0a000001=01 --delete 0a000002",
		Args:    c.args(1, 1), ValidArgsFunction: c.completeMaps,
	}
	cmd.Flags().StringSliceVar(&entries, "entry", nil, "KEY=VALUE to write")
	cmd.Flags().StringSliceVar(&deletes, "delete", nil, "key to delete; one that is not there is skipped")
	cmd.RunE = c.ask(short, func(ctx context.Context, args []string) error {
		in := new(v1.UpdateFunctionMapRequest)
		n, err := c.find("function-map")
		if err != nil {
			return err
		}
		if err := n.naming(in, args[0]); err != nil {
			return err
		}
		for _, text := range entries {
			key, value, err := mapEntry(text)
			if err != nil {
				return err
			}
			in.Entries = append(in.Entries, &v1.MapEntry{Key: key, Value: value})
		}
		for _, text := range deletes {
			key, err := hexBytes(text)
			if err != nil {
				return usagef("--delete %q: %w", text, err)
			}
			in.DeleteKeys = append(in.DeleteKeys, key)
		}
		if len(in.Entries)+len(in.DeleteKeys) == 0 {
			return usagef("say what to write with --entry, or what to delete with --delete")
		}
		return unary((*api).UpdateFunctionMap).call(ctx, c.api, in, func(out proto.Message) error {
			if done, err := c.structured(out); done {
				return err
			}
			said := out.(*v1.UpdateFunctionMapResponse)
			_, err := fmt.Fprintf(c.out, "function-map/%s %d written, %d deleted\n", args[0], said.GetWritten(), said.GetDeleted())
			return err
		})
	})
	return cmd
}

func mapEntry(text string) (key, value []byte, err error) {
	k, v, _ := strings.Cut(text, "=")
	if key, err = hexBytes(k); err == nil {
		value, err = hexBytes(v)
	}
	if err != nil {
		return nil, nil, usagef("--entry %q: %w: it reads KEY=VALUE", text, err)
	}
	return key, value, nil
}
