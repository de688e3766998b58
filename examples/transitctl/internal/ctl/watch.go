// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
)

func (c *cli) watchCommand() *cobra.Command {
	cmd := c.group(&cobra.Command{
		Use: "watch NOUN", Short: "follow what happens",
		Long: `Watch follows what happens until it is interrupted or the daemon ends: events as they come, counters and traffic every
so often, with what they rose by in a second. With -o json each is one line.`,
		Example: `  transitctl watch events --reason DROP_SPOOF_ADDRESS --vni 7
  transitctl watch events --no-drops -o json
  transitctl watch counters --interval 5s`,
	}, "noun")
	cmd.AddCommand(c.watchEvents())
	for _, w := range []struct {
		noun  string
		rates []rate
	}{
		{"counters", []rate{{"PACKETS/S", "packets"}, {"BYTES/S", "bytes"}}},
		{"traffic", []rate{{"RX-PACKETS/S", "rx_packets"}, {"RX-BYTES/S", "rx_bytes"}, {"TX-PACKETS/S", "tx_packets"}, {"TX-BYTES/S", "tx_bytes"}}},
	} {
		if n, err := c.find(w.noun); err == nil {
			cmd.AddCommand(c.watchNoun(n, w.rates))
		}
	}
	return cmd
}

// rate is a count's column of what it rises by in a second.
type rate struct{ title, path string }

// watchNoun reads a noun again and again.
func (c *cli) watchNoun(n *noun, rates []rate) *cobra.Command {
	var every time.Duration
	var rounds int
	cmd := &cobra.Command{
		Use: n.plural, Aliases: n.names(n.plural), Short: n.short, Args: c.args(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
	}
	filters := c.values(cmd, n.list.request(), n.filters)
	cmd.Flags().DurationVar(&every, "interval", 2*time.Second, "time between two looks")
	cmd.Flags().IntVar(&rounds, "count", 0, "end after so many looks (default: never)")
	cmd.RunE = c.ask(0, func(ctx context.Context, _ []string) error {
		if every < 10*time.Millisecond {
			return usagef("--interval %s is too short", every)
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		w := watcher{cli: c, noun: n, rates: rates}
		for round := 1; ; round++ {
			in := n.list.request()
			if err := fill(in, filters); err != nil {
				return err
			}
			all, err := n.list.merged(ctx, c.api, in)
			if err == nil {
				err = w.show(all, time.Now())
			}
			if err != nil {
				return c.watched(ctx, err)
			}
			if round == rounds {
				return nil
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return c.watched(ctx, ctx.Err())
			}
		}
	})
	return cmd
}

// watched ends a watch: an interrupt is how it should.
func (c *cli) watched(ctx context.Context, err error) error {
	switch {
	case c.ctx.Err() != nil:
		return nil
	case ctx.Err() != nil, connect.CodeOf(err) == connect.CodeDeadlineExceeded: // the daemon may be first
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("watch: the time of --timeout is over"))
	}
	return err
}

// watcher remembers the last look.
type watcher struct {
	*cli
	noun   *noun
	rates  []rate
	at     time.Time
	before map[string]proto.Message
}

func (w *watcher) show(all proto.Message, now time.Time) error {
	switch w.output {
	case "json":
		return w.line(all)
	case "yaml":
		if _, err := w.out.Write([]byte("---\n")); err != nil {
			return err
		}
		_, err := w.structured(all)
		return err
	}
	list := items(all)
	// Shown is how it is, and how fast it rises.
	seen := *w.noun
	for _, r := range w.rates {
		seen.columns = append(seen.columns[:len(seen.columns):len(seen.columns)], column{title: r.title, right: true, of: func(m proto.Message) cell {
			return w.rise(m, r, now)
		}})
	}
	var b bytes.Buffer
	if _, ok := terminal(w.out); ok {
		b.WriteString("\x1b[H\x1b[2J") // as watch(1) does
	} else if w.before != nil {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s\n", now.Format(time.DateTime))
	if err := seen.table(list, w.output == "wide", !w.noHeaders).print(&b, w.palette(w.out)); err != nil {
		return err
	}
	w.at, w.before = now, map[string]proto.Message{}
	for _, m := range list {
		w.before[w.same(m)] = m
	}
	_, err := w.out.Write(b.Bytes())
	return err
}

// same names what two looks have in common.
func (w *watcher) same(m proto.Message) string {
	return w.noun.keyOf(m) + " " + show(m, "ifindex")
}

func (w *watcher) rise(m proto.Message, r rate, now time.Time) cell {
	was := w.before[w.same(m)]
	if was == nil && w.before != nil {
		was = m.ProtoReflect().New().Interface() // new since: from zero
	}
	if was == nil {
		return cell{}
	}
	_, v, _ := find(m.ProtoReflect(), r.path)
	_, u, _ := find(was.ProtoReflect(), r.path)
	if v.Uint() < u.Uint() {
		return cell{} // made anew
	}
	c := cell{text: fmt.Sprintf("%.0f", float64(v.Uint()-u.Uint())/max(now.Sub(w.at).Seconds(), 1e-3))}
	if c.text != "0" {
		c.color = green
	}
	return c
}
