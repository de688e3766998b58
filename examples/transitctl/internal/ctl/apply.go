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

func (c *cli) applyCommand() *cobra.Command {
	var files, names []string
	in := new(v1.ApplyRequest)
	cmd := &cobra.Command{
		Use: "apply -f FILE", Short: "make the host what a file says", Args: c.args(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Apply makes the host what files say, with as few changes as there can be. A file is YAML or JSON, has any number
of documents, and reads as the message State of the API:

  vpcs:
  - {vni: 7, dividers: [192.0.2.1]}
  networks:
  - {vni: 7, prefix: 10.0.0.0/24, bouncers: [192.0.2.1]}
  localEndpoints:
  - {vni: 7, addresses: [10.0.0.1/24], netns: web}
  functions:
  - {name: firewall, objectFile: firewall_bpfel.o}

An objectFile is found from where the file is; its content is sent. Lists of several documents and files are put
together. What was applied before and is not in the files any more is removed; with --kinds, of those kinds only. What
the daemon did not make stays.`,
		Example: `  transitctl apply -f host.yaml --dry-run
  transitctl apply -f tenants.yaml -f host.yaml
  generate | transitctl apply -f - --kinds endpoints,networks`,
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "file with the state, - for standard input; can be repeated")
	cmd.Flags().BoolVar(&in.DryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().StringVar(&in.Etag, "etag", "", "only if this is the etag of the host's state")
	c.kindsFlag(cmd, &names, "these only, the rest of the files does not count")
	cmd.RunE = c.ask(0, func(ctx context.Context, _ []string) (err error) {
		if len(files) == 0 {
			return usagef("name the file with -f")
		}
		if in.Kinds, err = c.kinds(names); err != nil {
			return err
		}
		var at places
		if in.State, at, err = c.readState(files); err != nil {
			return err
		}
		c.only(in.State, in.Kinds)
		if ctx.Err() == nil && !in.DryRun {
			c.begun = "the daemon ends what it has begun: apply it again, or see what is left with --dry-run"
		}
		err = unary((*api).Apply).call(ctx, c.api, in, func(out proto.Message) error {
			if done, err := c.structured(out); done {
				return err
			}
			return c.printPlan(out.(*v1.ApplyResponse), in.DryRun)
		})
		if err != nil {
			return writeError{err, nil, at.of(err)}
		}
		return nil
	})
	return cmd
}

// sign is how a step is marked, and its colour.
func sign(a v1.Action) cell {
	switch a {
	case v1.Action_ACTION_ADD:
		return cell{"+", green}
	case v1.Action_ACTION_UPDATE:
		return cell{"~", yellow}
	case v1.Action_ACTION_REPLACE:
		return cell{"-/+", red}
	case v1.Action_ACTION_REMOVE:
		return cell{"-", red}
	}
	return cell{text: "?"}
}

// printPlan prints what was done, or would be.
func (c *cli) printPlan(plan *v1.ApplyResponse, dry bool) error {
	sum := new(v1.PlanSummary)
	for _, s := range plan.GetSummary() {
		sum.Add += s.GetAdd()
		sum.Update += s.GetUpdate()
		sum.Replace += s.GetReplace()
		sum.Remove += s.GetRemove()
		sum.Unchanged += s.GetUnchanged()
		sum.Foreign += s.GetForeign()
	}
	var rest []string
	if sum.GetUnchanged() > 0 {
		rest = append(rest, fmt.Sprintf("%d unchanged", sum.GetUnchanged()))
	}
	if sum.GetForeign() > 0 {
		rest = append(rest, fmt.Sprintf("%d not the daemon's", sum.GetForeign()))
	}
	var b bytes.Buffer
	if c.output == "name" {
		for _, s := range plan.GetSteps() {
			fmt.Fprintln(&b, clean(word(s.GetKind())+"/"+s.GetKey()))
		}
	} else if !plan.GetChanged() {
		fmt.Fprintln(&b, strings.Join(append([]string{"nothing to change"}, rest...), "; "))
	} else {
		t := &table{right: []bool{true}, blank: true}
		for _, s := range plan.GetSteps() {
			t.rows = append(t.rows, []cell{sign(s.GetAction()), {text: word(s.GetKind())}, {text: s.GetKey()}, {s.GetDetail(), faint}})
		}
		if err := t.print(&b, c.palette(c.out)); err != nil {
			return err
		}
		total := sum.GetAdd() + sum.GetUpdate() + sum.GetReplace() + sum.GetRemove()
		if more := total - uint64(len(plan.GetSteps())); total > uint64(len(plan.GetSteps())) {
			fmt.Fprintf(&b, "and %d more\n", more)
		}
		form := "%d added, %d updated, %d replaced, %d removed"
		if dry {
			form = "%d to add, %d to update, %d to replace, %d to remove"
		}
		done := fmt.Sprintf(form, sum.GetAdd(), sum.GetUpdate(), sum.GetReplace(), sum.GetRemove())
		fmt.Fprintf(&b, "\n%s\n", strings.Join(append([]string{done}, rest...), "; "))
	}
	_, err := c.out.Write(b.Bytes())
	return err
}
