// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

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
			all, err := c.readEndpoints(m.file, m.format)
			if err != nil {
				return err
			}
			s := c.api.AddEndpoints(ctx)
			return c.sendAll(cmd, m, len(all), "added", func(i, j int) error {
				return s.Send(&v1.AddEndpointsRequest{Endpoints: all[i:j], Overwrite: replace.force})
			}, func() (uint64, uint64, error) {
				out, err := s.Receive()
				return out.GetAdded(), out.GetUnchanged(), err
			}, s.CloseRequest, s.CloseResponse)
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
			all, err := c.readEndpoints(m.file, m.format)
			if err != nil {
				return err
			}
			s := c.api.RemoveEndpoints(ctx)
			return c.sendAll(cmd, m, len(all), "removed", func(i, j int) error {
				var keys []*v1.EndpointKey
				for _, e := range all[i:j] {
					keys = append(keys, &v1.EndpointKey{Vni: e.GetVni(), Address: e.GetAddress()})
				}
				return s.Send(&v1.RemoveEndpointsRequest{Keys: keys})
			}, func() (uint64, uint64, error) {
				out, err := s.Receive()
				return out.GetRemoved(), out.GetMissing(), err
			}, s.CloseRequest, s.CloseResponse)
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

// sendAll sends in chunks while answers come back, so that neither side waits for the other.
func (c *cli) sendAll(cmd *cobra.Command, m many, total int, verb string, send func(i, j int) error,
	receive func() (done, skipped uint64, err error), closeRequest, closeResponse func() error,
) (err error) {
	var all []int
	for i := 0; i < total; i += chunk {
		all = append(all, i)
	}
	sent := make(chan error, 1)
	go func() {
		var err error
		for i := range slices.Values(all) {
			if err = send(i, min(i+chunk, total)); err != nil {
				break // the answer says why
			}
		}
		sent <- errors.Join(err, closeRequest())
	}()
	p := c.newProgress(m.progress, cmd.Flags().Changed("progress"), total)
	var done, skipped uint64
	for {
		d, s, e := receive()
		if errors.Is(e, io.EOF) {
			break
		} else if e != nil {
			err = e
			break
		}
		done, skipped = d, s
		p.show(done + skipped)
	}
	p.end()
	_ = closeResponse()
	if e := <-sent; err == nil && e != nil && !errors.Is(e, io.EOF) {
		err = e
	}
	rest := map[string]string{"added": "unchanged", "removed": "not there"}[verb]
	said := fmt.Sprintf("%d %s, %d %s", done, verb, skipped, rest)
	if err == nil && done+skipped != uint64(total) {
		err = fmt.Errorf("the daemon answered for %d of %d endpoints", done+skipped, total)
	}
	if err != nil {
		fmt.Fprintf(c.err, "%s, of %d\n", said, total)
		return err
	}
	if c.output == "json" || c.output == "yaml" {
		if verb == "added" {
			_, err = c.structured(&v1.AddEndpointsResponse{Added: done, Unchanged: skipped})
		} else {
			_, err = c.structured(&v1.RemoveEndpointsResponse{Removed: done, Missing: skipped})
		}
		return err
	}
	_, err = fmt.Fprintf(c.out, "endpoints: %s\n", said)
	return err
}
