// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/mizar-go/mizar/examples/internal/lab"
)

// iperf3 measures one stream of TCP by the tool of that name, for who trusts it more. It takes whole
// seconds, and counts where it receives.
func iperf3(ctx context.Context, p *path, c cpus, long time.Duration) (_ []float64, err error) {
	to := workloadAddr(1).Addr().String()
	ctx, cancel := context.WithTimeout(ctx, long+time.Second+2*patience)
	defer cancel()
	server := exec.CommandContext(ctx, "iperf3", "-s", "-1", "-B", to, "-A", strconv.Itoa(c[1]), "--forceflush")
	out, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := start(p.server, server); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			cancel()
		}
		_, _ = io.Copy(io.Discard, out)
		if ended := server.Wait(); err == nil {
			err = ended
		}
	}()
	if err := listening(out); err != nil {
		return nil, err
	}
	var said strings.Builder
	client := exec.CommandContext(ctx, "iperf3", "-J", "-c", to, "-A", strconv.Itoa(c[0]),
		"-t", strconv.Itoa(max(1, int(math.Round(long.Seconds())))))
	client.Stdout = &said
	if err := start(p.client, client); err != nil {
		return nil, err
	}
	ended := client.Wait()
	var report struct {
		Error string
		End   struct {
			Received struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	err = json.Unmarshal([]byte(said.String()), &report)
	if report.Error != "" {
		err = errors.New(report.Error)
	}
	return []float64{report.End.Received.Bits / 1e9}, errors.Join(err, ended)
}

// start has a command run in a namespace: it starts in that of the thread.
func start(ns *lab.Namespace, c *exec.Cmd) error {
	if err := ns.Do(c.Start); err != nil {
		return fmt.Errorf("start %s in %s: %w", c.Path, ns.Name, err)
	}
	return nil
}

// listening waits until a server says so.
func listening(out io.Reader) error {
	for s := bufio.NewScanner(out); s.Scan(); {
		if strings.Contains(s.Text(), "listening") {
			return nil
		}
	}
	return errors.New("iperf3 does not listen")
}
