// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// build is what this program was built of.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
}

func ours() build {
	b := build{Version: "unknown", Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Version = cmp.Or(info.Main.Version, b.Version)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Commit = s.Value
			}
		}
	}
	return b
}

func (c *cli) versionCommand() *cobra.Command {
	var client bool
	cmd := &cobra.Command{
		Use: "version", Short: "tell what runs, here and there", Args: c.args(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&client, "client", false, "of transitctl alone; no daemon is asked")
	ask := c.ask(short, func(ctx context.Context, _ []string) error {
		asked := unary((*api).GetVersion).call(ctx, c.api, new(v1.GetVersionRequest), func(out proto.Message) error {
			return c.printVersion(out.(*v1.GetVersionResponse))
		})
		if asked != nil {
			return errors.Join(c.printVersion(nil), asked)
		}
		return nil
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if client {
			return c.do(func(*cobra.Command, []string) error { return c.printVersion(nil) })(cmd, args)
		}
		return ask(cmd, args)
	}
	return cmd
}

// printVersion prints our version, and the daemon's unless it is nil.
func (c *cli) printVersion(daemon *v1.GetVersionResponse) error {
	var both struct {
		Client build           `json:"client"`
		Daemon json.RawMessage `json:"daemon,omitempty"`
	}
	both.Client = ours()
	if daemon != nil {
		text, err := jsonOf(daemon)
		if err != nil {
			return err
		}
		both.Daemon = text
	}
	if done, err := c.own(both); done {
		return err
	}
	t := &table{}
	if !c.noHeaders {
		t.rows = append(t.rows, []cell{{"", bold}, {"VERSION", bold}, {"COMMIT", bold}, {"GO", bold}, {"KERNEL", bold}, {"PROGRAMS", bold}, {"INSTANCE", bold}, {"HOST", bold}})
		t.rows[0][0].text = "PROGRAM"
	}
	b := both.Client
	t.add("transitctl", b.Version, b.Commit, b.Go, "", "", "", "")
	if daemon != nil {
		t.add("transitd", daemon.GetVersion(), daemon.GetCommit(), daemon.GetGo(), daemon.GetKernel(),
			fmt.Sprintf("%016x", daemon.GetPrograms()), daemon.GetInstance(), daemon.GetHostname())
	}
	return t.print(c.out, c.palette(c.out))
}
