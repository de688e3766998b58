// SPDX-License-Identifier: Apache-2.0

package main

import "context"

// showLook reads from the hosts what they are like.
func showLook(ctx context.Context, w *world) error {
	for _, c := range []struct {
		want []string
		args []string
	}{
		{[]string{"10.0.0.1/24", "red", "blue"}, []string{"--context", "a", "get", "local-endpoints"}},
		{[]string{"192.0.2.2"}, []string{"--context", "a", "get", "directs", "--vni", "7"}},
		{[]string{"192.0.2.2"}, []string{"--context", "a", "trace", "7", "10.0.0.1", "10.0.0.2"}},
		{[]string{"BOUNCE"}, []string{"--context", "c", "trace", "7", "10.0.0.1", "10.0.0.2", "--from", "192.0.2.1"}},
		{[]string{"endpoints"}, []string{"--context", "c", "get", "tables"}},
	} {
		if err := w.shell.expect(ctx, c.want, c.args...); err != nil {
			return err
		}
	}
	return nil
}
