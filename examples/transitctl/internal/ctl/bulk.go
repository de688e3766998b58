// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// chunk is how many endpoints go in a message.
const chunk = 4096

// many are the flags of a command that takes a file of endpoints.
type many struct {
	file, format string
	progress     bool
}

func (m *many) flags(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVarP(&m.file, "file", "f", "", usage+", - for standard input")
	cmd.Flags().StringVar(&m.format, "format", "", "form of the file: jsonl, yaml, json or csv (default: by its name, or how it begins)")
	cmd.Flags().BoolVar(&m.progress, "progress", true, "say how far it is; not on a terminal: if given, every two seconds")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp))
}

// addMany has `add endpoints` take a file as well as a key.
func (c *cli) addMany(cmd *cobra.Command, one []*value, replace *replacing, write func(*cobra.Command, []string) error) {
	var m many
	m.flags(cmd, "file of many endpoints")
	cmd.Use += " | -f FILE"
	cmd.Args = c.oneOrFile(&m)
	cmd.Example += `
  transitctl add endpoints -f endpoints.csv
  generate | transitctl add endpoints -f - --format jsonl --force`
	cmd.Long = `Add endpoint says on which host an address lives. With -f it takes any number of them, as JSON (one a line), YAML (a
list, or endpoints: and a list), or CSV (vni,address,host,mac,cookie, or in the order that a first line of these names
has). All of the file is read before anything is written. The first error ends it; what was written stays, and the
same file can be given again.`
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if m.file == "" {
			return write(cmd, args)
		}
		for _, v := range one {
			if len(v.texts) > 0 {
				return usagef("--%s is of one endpoint: with -f the file says it", v.name)
			}
		}
		if replace.etag != "" {
			return usagef("--etag is of one endpoint: with -f the file says it")
		}
		return c.ask(0, func(ctx context.Context, _ []string) error {
			all, r, err := c.readEndpoints(m.file, m.format)
			if err != nil {
				return err
			}
			return sendAll(ctx, c, r, m.show(c, cmd, len(all)), (*api).AddEndpoints, func(i, j int) *v1.AddEndpointsRequest {
				return &v1.AddEndpointsRequest{Endpoints: all[i:j], Overwrite: replace.force}
			}, func(out *v1.AddEndpointsResponse) (uint64, string) {
				n, same := out.GetAdded(), out.GetUnchanged()
				return n + same, fmt.Sprintf("%d added, %d unchanged", n, same)
			})
		})(cmd, args)
	}
}

// deleteMany has `delete endpoints` take a file as well as keys.
func (c *cli) deleteMany(cmd *cobra.Command, write func(*cobra.Command, []string) error) {
	var m many
	m.flags(cmd, "file of many endpoints, as add endpoints takes it")
	cmd.Use += " | -f FILE"
	keyed := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if m.file != "" {
			return c.oneOrFile(&m)(cmd, args)
		}
		return keyed(cmd, args)
	}
	cmd.Long = `Delete endpoint forgets addresses that live on other hosts. With -f it takes any number of them; those that are
not there are skipped. Endpoints of this host are local-endpoints.`
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if m.file == "" {
			return write(cmd, args)
		}
		if cmd.Flags().Changed("etag") {
			return usagef("--etag is of one endpoint")
		}
		return c.ask(0, func(ctx context.Context, _ []string) error {
			all, r, err := c.readEndpoints(m.file, m.format)
			if err != nil {
				return err
			}
			return sendAll(ctx, c, r, m.show(c, cmd, len(all)), (*api).RemoveEndpoints, func(i, j int) *v1.RemoveEndpointsRequest {
				var keys []*v1.EndpointKey
				for _, e := range all[i:j] {
					keys = append(keys, &v1.EndpointKey{Vni: e.GetVni(), Address: e.GetAddress()})
				}
				return &v1.RemoveEndpointsRequest{Keys: keys}
			}, func(out *v1.RemoveEndpointsResponse) (uint64, string) {
				n, missing := out.GetRemoved(), out.GetMissing()
				return n + missing, fmt.Sprintf("%d removed, %d not there", n, missing)
			})
		})(cmd, args)
	}
}

func (c *cli) oneOrFile(m *many) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if m.file != "" && len(args) > 0 {
			return usagef("%q is too much: with -f the file says which", args[0])
		} else if m.file != "" {
			return nil
		}
		return c.args(1, 1)(cmd, args)
	}
}

// show has what says how far it is.
func (m *many) show(c *cli, cmd *cobra.Command, total int) *progress {
	return c.newProgress(m.progress, cmd.Flags().Changed("progress"), total)
}

// sendAll sends in chunks, while answers come back, so that neither side waits for the other. Part makes a chunk's
// message; said is how many an answer speaks of, and what it says.
func sendAll[I, O any](ctx context.Context, c *cli, r *reader, p *progress, call func(*api, context.Context) *connect.BidiStreamForClient[I, O],
	part func(i, j int) *I, said func(*O) (uint64, string),
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.begun = "more may be done than was answered: give the same file again"
	s := call(c.api, ctx)
	sent := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < p.total && err == nil; i += chunk {
			err = s.Send(part(i, min(i+chunk, p.total)))
		}
		if errors.Is(err, io.EOF) {
			err = nil // the stream is over: its end says why
		}
		sent <- errors.Join(err, s.CloseRequest())
	}()
	last, err := new(O), error(nil)
	for {
		out, e := s.Receive()
		if e != nil {
			if !errors.Is(e, io.EOF) {
				err = e
			}
			break
		}
		last = out
		n, _ := said(out)
		p.show(n)
	}
	p.end()
	if err != nil {
		cancel() // a Send that waits ends
	}
	e := <-sent
	_ = s.CloseResponse()
	n, text := said(last)
	switch {
	case err == nil && e != nil:
		err = e
	case err == nil && n != uint64(p.total):
		err = fmt.Errorf("the daemon answered for %d of %d endpoints", n, p.total)
	}
	if err != nil {
		fmt.Fprintf(c.err, "%s, of %d\n", text, p.total)
		return r.located(err, int(n), min(chunk, p.total-int(n)))
	}
	if done, err := c.structured(any(last).(proto.Message)); done {
		return err
	}
	_, err = fmt.Fprintf(c.out, "endpoints: %s\n", text)
	return err
}
