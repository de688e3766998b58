// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/mizar-go/mizar/examples/internal/lab"
)

// process runs in a network namespace, and is somebody's to stop.
type process struct {
	*exec.Cmd
	ended chan struct{}
	err   error // once it has ended
}

// start starts a program in a namespace: children are where the thread is that starts them. `ip netns exec` would give
// them another /sys, without the bpffs. Ctrl-C at a terminal is not for them: they are stopped in order.
func start(in *lab.Namespace, cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := in.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s in %s: %w", cmd.Path, in.Name, err)
	}
	p := &process{Cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// signal sends one, and waits until the process has ended.
func (p *process) signal(s os.Signal, patience time.Duration) error {
	if err := p.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("process %d has not ended %v after %v", p.Process.Pid, patience, s)
	}
}

// kill ends it whatever it does.
func (p *process) kill() error {
	return p.signal(os.Kill, 10*time.Second)
}
