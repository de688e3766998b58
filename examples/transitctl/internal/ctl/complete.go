// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// What somebody waits for who pressed a key, and can read.
const (
	completeTime = 2 * time.Second
	completeMost = 200
)

var errEnough = errors.New("enough")

// completeKeys asks the daemon which keys there are. Where that fails, there are none: a shell is no place for
// errors.
func (c *cli) completeKeys(n *noun) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if c.dial() != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(c.ctx, completeTime)
		defer cancel()
		var keys []string
		// An error is what ends a stream early, too.
		_ = n.list.call(ctx, c.api, n.list.request(), func(out proto.Message) error {
			for _, m := range items(out) {
				key := clean(n.keyOf(m))
				if strings.HasPrefix(key, typed) && !slices.Contains(args, key) {
					keys = append(keys, key)
				}
				if len(keys) == completeMost {
					return errEnough
				}
			}
			return nil
		})
		return keys, cobra.ShellCompDirectiveNoFileComp
	}
}

func completePoints(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return enumWords(v1.StagePoint(0).Descriptor()), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeFlag offers the keys of a noun as a flag's value.
func (c *cli) completeFlag(name string) cobra.CompletionFunc {
	n, err := c.find(name)
	if err != nil {
		return cobra.NoFileCompletions
	}
	return inList(c.completeKeys(n))
}

// inList completes the last one of a list.
func inList(one cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		before, last := "", typed
		if i := strings.LastIndexByte(typed, ','); i >= 0 {
			before, last = typed[:i+1], typed[i+1:]
		}
		words, directive := one(cmd, strings.Split(before, ","), last)
		words = slices.Clone(words)
		for i := range words {
			words[i] = before + words[i]
		}
		return words, directive
	}
}

// completeMaps offers functions' maps.
func (c *cli) completeMaps(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || c.dial() != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(c.ctx, completeTime)
	defer cancel()
	var keys []string
	_ = unary((*api).ListFunctions).call(ctx, c.api, new(v1.ListFunctionsRequest), func(out proto.Message) error {
		for _, f := range out.(*v1.ListFunctionsResponse).GetFunctions() {
			for _, m := range f.GetStatus().GetMaps() {
				keys = append(keys, clean(f.GetName()+"/"+m.GetName()))
			}
		}
		return nil
	})
	return keys, cobra.ShellCompDirectiveNoFileComp
}
