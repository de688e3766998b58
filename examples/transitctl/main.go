// SPDX-License-Identifier: Apache-2.0

// Transitctl drives a transit daemon: the one of this host, by its socket, or another host's, by mutual TLS.
//
//	transitctl get endpoints --vni 7
//	transitctl apply -f host.yaml --dry-run
//	transitctl watch events --reason DROP_SPOOF_ADDRESS
//
// transitctl --help has the rest.
package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/examples/transitctl/internal/ctl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	context.AfterFunc(ctx, stop) // a second interrupt ends it at once
	code := ctl.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
