// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

func (c *cli) traceCommand() *cobra.Command {
	in := new(v1.TracePacketRequest)
	cmd := &cobra.Command{
		Use: "trace VNI SOURCE DESTINATION", Short: "tell what becomes of a packet, step by step", Args: c.args(3, 3),
		Long: `Trace tells what becomes of a packet that an endpoint of the host sends, or that comes from another host, by the
tables as they are now, what packets taught included. No packet is sent.

It takes the packet to be well-formed, with the right MACs and hops left, and to come here for the first time. Not
looked at: routes, neighbours and MTUs of the underlay and of endpoints, what functions do to it, and which of several
hosts is chosen for its flow. Where what comes from another host may have come straight, and not by way of this host as
a bouncer or divider, a step says what happens then.`,
		Example: `  transitctl trace 7 10.0.0.1 10.0.0.2
  transitctl trace 7 10.0.0.2 10.0.0.1 --from 192.0.2.2`,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&in.From, "from", "", "underlay address of the host that it comes from (default: an endpoint here sends it)")
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.NoFileCompletions)
	cmd.RunE = c.ask(short, func(ctx context.Context, args []string) error {
		for i, name := range []string{"vni", "source", "destination"} {
			if err := put(in.ProtoReflect(), name, args[i]); err != nil {
				return usagef("%s: %w", name, err)
			}
		}
		return unary((*api).TracePacket).call(ctx, c.api, in, func(out proto.Message) error {
			if done, err := c.structured(out); done {
				return err
			}
			return c.printTrace(out.(*v1.TracePacketResponse))
		})
	})
	return cmd
}

func (c *cli) printTrace(trace *v1.TracePacketResponse) error {
	t := &table{right: []bool{true}}
	if !c.noHeaders {
		t.rows = append(t.rows, []cell{{"STEP", bold}, {"TABLE", bold}, {"KEY", bold}, {"FOUND", bold}, {"SO", bold}})
	}
	for i, s := range trace.GetSteps() {
		found := cell{text: s.GetFound()}
		if found.text == "" {
			found = cell{"nothing", faint}
		}
		t.rows = append(t.rows, []cell{{text: fmt.Sprint(i + 1)}, {text: s.GetTable()}, {text: s.GetKey()}, found, {text: s.GetSays()}})
	}
	var b bytes.Buffer
	p := c.palette(c.out)
	if err := t.print(&b, p); err != nil {
		return err
	}
	hue := green
	if strings.HasPrefix(trace.GetVerdict(), "DROP") {
		hue = red
	}
	fmt.Fprintf(&b, "\n%s", p.paint(hue, clean(trace.GetVerdict())))
	if len(trace.GetTargets()) > 0 {
		fmt.Fprintf(&b, " to %s", clean(strings.Join(trace.GetTargets(), " or ")))
	}
	b.WriteByte('\n')
	_, err := c.out.Write(b.Bytes())
	return err
}
