// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
)

// denied is transitctl's exit code.
const denied = 5

// showRefused has others than the operator try.
func showRefused(ctx context.Context, w *world) error {
	s, a := w.shell, w.daemons["a"]
	s.say("The auditor may read:")
	auditor := []string{"--context", "a", "--cert", "auditor.crt", "--key", "auditor.key"}
	if err := s.expect(ctx, []string{"7"}, append(auditor, "get", "vpcs")...); err != nil {
		return err
	}
	for _, c := range []struct {
		say, code string
		args      []string
	}{
		{"but not write:", "permission_denied", append(auditor, "delete", "vpc", "7")},
		{
			"Who was the operator until an hour ago is nobody:", "unauthenticated",
			[]string{"--context", "a", "--cert", "yesterday.crt", "--key", "yesterday.key", "get", "vpcs"},
		},
	} {
		s.say("%s", c.say)
		before := a.size()
		if _, err := s.do(ctx, denied, c.args...); err != nil {
			return err
		}
		line, err := a.awaitLogged(ctx, before, "code="+c.code)
		if err != nil {
			return err
		}
		s.say("%s, and host-a's daemon logs:", strings.ToUpper(c.code))
		s.print(line)
	}
	_, code, err := s.ask(ctx, "--context", "a", "get", "vpc", "7")
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("the VPC that the auditor deleted: exit code %d", code)
	}
	return nil
}
