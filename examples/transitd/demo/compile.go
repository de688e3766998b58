// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// compile builds both programs into a directory.
func compile(ctx context.Context, into string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", into+"/",
		"github.com/mizar-go/mizar/examples/transitd", "github.com/mizar-go/mizar/examples/transitctl")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it takes its own children along
	cmd.WaitDelay = 10 * time.Second
	text, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("build transitd and transitctl (or name where they are with -bin): %w\n%s", err, text)
	}
	return nil
}
