// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

func (c *cli) watchEvents() *cobra.Command {
	var most int
	var names []string
	cmd := &cobra.Command{
		Use: "events", Aliases: []string{"event"}, Short: "sampled drops, and resources that change", Args: c.args(0, 0),
		Long: `Events are sampled drops, and resources that change. A filter of drops leaves changes out, and --kinds leaves drops
out, unless both are given.`,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	filter := c.values(cmd, new(v1.EventFilter), []flag{
		{name: "no-drops", path: "no_drops", usage: "leave drops out"},
		{name: "no-changes", path: "no_changes", usage: "leave changes out"},
		{name: "vni", path: "vnis", keys: "vpc", usage: "drops of these VPCs only"},
		{name: "reason", path: "reasons", keys: "counter", usage: "drops for these reasons only"},
		{name: "prefix", path: "prefixes", usage: "drops from or to these inner prefixes only"},
	})
	c.kindsFlag(cmd, &names, "changes of these only")
	cmd.Flags().IntVar(&most, "count", 0, "end after so many events (default: never)")
	cmd.RunE = c.ask(0, func(ctx context.Context, _ []string) error {
		in := &v1.WatchEventsRequest{Filter: new(v1.EventFilter)}
		if err := fill(in.Filter, filter); err != nil {
			return err
		}
		var err error
		if in.Filter.Kinds, err = c.kinds(names); err != nil {
			return err
		}
		f := in.GetFilter()
		ofDrops, ofChanges := len(f.GetVnis())+len(f.GetReasons())+len(f.GetPrefixes()) > 0, len(f.GetKinds()) > 0
		f.NoChanges = f.GetNoChanges() || ofDrops && !ofChanges
		f.NoDrops = f.GetNoDrops() || ofChanges && !ofDrops
		if f.GetNoChanges() && f.GetNoDrops() {
			return usagef("of drops and changes, nothing is left to watch")
		}
		seen, lost := 0, uint64(0)
		err = stream((*api).WatchEvents).call(ctx, c.api, in, func(out proto.Message) error {
			m := out.(*v1.WatchEventsResponse)
			if m.GetLost() > lost {
				fmt.Fprintf(c.err, "%d events were missed: too many for this watch\n", m.GetLost()-lost)
				lost = m.GetLost()
			}
			if m.GetEvent() == nil {
				return nil // from now on none is missed
			}
			if err := c.printEvent(m.GetEvent()); err != nil {
				return err
			}
			if seen++; seen == most {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		if err == nil {
			// It has no end of its own: the daemon is going, or its side of our time limit was first.
			err = connect.NewError(connect.CodeUnavailable, errors.New("watch events: the daemon ended it"))
		}
		return c.watched(ctx, err)
	})
	return cmd
}

// printEvent prints an event as it comes: there is no table, as nobody knows how wide the next one is.
func (c *cli) printEvent(e *v1.Event) error {
	switch c.output {
	case "json":
		return c.line(e)
	case "yaml":
		if _, err := c.out.Write([]byte("---\n")); err != nil {
			return err
		}
		_, err := c.structured(e)
		return err
	}
	p := c.palette(c.out)
	when := e.GetTime().AsTime().Local().Format("15:04:05.000")
	text := ""
	switch e := e.GetEvent().(type) {
	case *v1.Event_Drop:
		text = p.paint(red, "drop    ") + clean(dropText(e.Drop, c.output == "wide"))
	case *v1.Event_Change:
		name := word(e.Change.GetKind())
		if e.Change.GetKey() != "" {
			name += "/" + e.Change.GetKey()
		}
		if e.Change.GetCount() > 1 {
			name = fmt.Sprintf("%d × %s", e.Change.GetCount(), name)
		}
		text = p.paint(yellow, "change  ") + clean(fmt.Sprintf("%s %s by %s", name, word(e.Change.GetOutcome()), e.Change.GetBy()))
	default:
		text = "unknown"
	}
	_, err := fmt.Fprintf(c.out, "%s  %s\n", p.paint(faint, when), text)
	return err
}

func dropText(d *v1.Drop, wide bool) string {
	parts := []string{d.GetReason()}
	if d.GetVni() != 0 {
		parts = append(parts, fmt.Sprintf("vni %d", d.GetVni()))
	}
	if d.GetSource() != "" || d.GetDestination() != "" {
		parts = append(parts, cmp.Or(d.GetSource(), "?")+" > "+cmp.Or(d.GetDestination(), "?"))
	}
	if d.GetOuterSource() != "" {
		parts = append(parts, "from host "+d.GetOuterSource())
	}
	parts = append(parts, fmt.Sprintf("%d bytes", d.GetLength()), fmt.Sprintf("%s ifindex %d", d.GetHook(), d.GetIfindex()))
	if wide {
		parts = append(parts, fmt.Sprintf("%x", d.GetBytes()))
	}
	return strings.Join(parts, ", ")
}
