// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

func (c *cli) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use: "health", Short: "tell how the daemon and its host are", Args: c.args(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Long: "Health tells how the daemon and its host are. The exit code is 1 if there is a problem.",
		RunE: c.ask(short, func(ctx context.Context, _ []string) error {
			return unary((*api).GetHealth).call(ctx, c.api, new(v1.GetHealthRequest), func(out proto.Message) error {
				h := out.(*v1.GetHealthResponse)
				done, err := c.structured(h)
				if !done {
					err = c.printHealth(h)
				}
				if err == nil && !h.GetHealthy() {
					err = exitCode(exitError)
				}
				return err
			})
		}),
	}
}

func (c *cli) printHealth(h *v1.GetHealthResponse) error {
	var b bytes.Buffer
	p := c.palette(c.out)
	how := p.paint(green, "healthy")
	if !h.GetHealthy() {
		how = p.paint(red, "not healthy")
	}
	from := "made anew"
	switch {
	case h.GetUpgraded():
		from = "adopted, with its programs replaced by this build's"
	case h.GetAdopted():
		from = "adopted"
	}
	fmt.Fprintf(&b, "%s; up %s; the data-plane was %s\n", how, h.GetUptime().AsDuration().Round(time.Second), from)
	t := &table{}
	for _, x := range h.GetProblems() {
		t.rows = append(t.rows, []cell{{"problem", red}, {text: nameOr(x.GetKind(), x.GetKey(), "daemon")}, {text: x.GetMessage()}})
	}
	for _, x := range h.GetRepairs() {
		s := x.GetStep()
		what := fmt.Sprintf("%s: %s: %s", timestamp(x.GetTime()), word(s.GetAction()), s.GetDetail())
		kind := cell{"repair", yellow}
		if x.GetError() != "" {
			kind = cell{"repair failed", red}
			what += ": " + x.GetError()
		}
		t.rows = append(t.rows, []cell{kind, {text: nameOr(s.GetKind(), s.GetKey(), "daemon")}, {text: what}})
	}
	if err := t.print(&b, p); err != nil {
		return err
	}
	_, err := c.out.Write(b.Bytes())
	return err
}

// nameOr names a resource, or what else it is about.
func nameOr(k v1.Kind, key, other string) string {
	if k == v1.Kind_KIND_UNSPECIFIED {
		return other
	}
	return word(k) + "/" + key
}
