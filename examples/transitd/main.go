// SPDX-License-Identifier: Apache-2.0

// Transitd is the transit daemon: a management plane, on this host or another, drives the data-plane through it, by
// gRPC, gRPC-Web or JSON over HTTP. The API is in examples/api.
//
//	transitd                         # all as by default: a Unix socket, /run/transitd/transitd.sock
//	transitd -config transitd.yaml   # deploy/transitd.yaml says what can be in there
//	transitd -check -config FILE     # is the file in order? Nothing else is done
//	transitd -destroy                # take down the data-plane, and what was made around it; no daemon may run
//
// It opens a data-plane, repairs what differs from what it was last asked for, and serves. Killed, restarted or
// replaced, it disturbs no packet: the kernel carries them. It runs in the network namespace of the droplets.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/mizar-go/mizar/examples/transitd/internal/config"
	"github.com/mizar-go/mizar/examples/transitd/internal/daemon"
)

func main() {
	path := flag.String("config", "", "the configuration; without it, all is as by default")
	check := flag.Bool("check", false, "check the configuration, and do no more")
	destroy := flag.Bool("destroy", false, "take down the data-plane and what was made around it, and forget what was asked for; no daemon may run")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "transitd: takes no arguments; see -help")
		os.Exit(2)
	}
	c := config.Default()
	if *path != "" {
		var err error
		if c, err = config.Load(*path); err != nil {
			fmt.Fprintln(os.Stderr, "transitd:", err)
			os.Exit(2)
		}
	}
	if *check {
		return
	}
	journalled, err := journal.StderrIsJournalStream()
	log, run := logger(c.Log, os.Stderr, err == nil && journalled), daemon.Run
	if *destroy {
		run = daemon.Destroy
	}
	if err := run(context.Background(), c, log); err != nil {
		log.Error("ended", "error", err)
		os.Exit(1)
	}
}
