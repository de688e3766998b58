// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// childEnv makes the test program the process that gets killed. It says what to do (attach or detach up0),
// in which mode, the step to die at, and where the pins are. Without a step it attaches, and waits.
const childEnv = "MIZAR_TEST_DROPLET_CHILD"

// child is that process, with the namespace as descriptor 3.
func child(what string) int {
	fmt.Fprintln(os.Stderr, "child:", childDo(strings.Split(what, "|")))
	return 1 // it should have been killed
}

func childDo(args []string) error {
	verb, step, dir := args[0], args[2], args[3]
	mode, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ns, err := netns.FromFD(3)
	if err != nil {
		return err
	}
	p, _, err := openPlane(dir, ns, "blue")
	if err != nil {
		return err
	}
	p.failAt = func(s string) error {
		if s == step {
			return unix.Kill(unix.Getpid(), unix.SIGKILL)
		}
		return nil
	}
	if verb == "detach" {
		return p.Detach(context.Background(), "up0")
	}
	if _, err := p.Attach(context.Background(), Config{Interface: "up0", Mode: Mode(mode)}); err != nil {
		return err
	}
	if _, err := p.SetupFIB(context.Background()); err != nil {
		return err
	}
	fmt.Println("attached")
	_, err = os.Stdin.Read(make([]byte, 1)) // for good, or until the parent is gone
	return err
}

// child is the command that runs one. The caller closes its descriptor.
func (p *plane) child(t *testing.T, verb string, mode Mode, step string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d|%s|%s", childEnv, verb, mode, step, p.dir))
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(dup(t, p.ns)), "netns")}
	cmd.Stderr = os.Stderr
	return cmd
}

// killed runs a process that is killed when it comes to a step.
func (p *plane) killed(t *testing.T, verb string, mode Mode, step string) {
	t.Helper()
	cmd := p.child(t, verb, mode, step)
	err := cmd.Run()
	require.NoError(t, cmd.ExtraFiles[0].Close())
	require.ErrorContains(t, err, "signal: killed", "%s, %s", verb, step)
}

func TestKilledProcess(t *testing.T) {
	p, far := newHost(t)
	before := p.snapshot(t)
	cmd := p.child(t, "attach", Native, "")
	defer cmd.ExtraFiles[0].Close()
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	killed := cmd.Process.Kill()
	waited := cmd.Wait()
	require.NoError(t, err)
	require.Equal(t, "attached\n", line)
	require.NoError(t, killed)
	require.ErrorContains(t, waited, "killed")

	r := testutil.Ping(t, far, netip.Addr{}, netip.MustParseAddr("192.0.2.1"), 1, time.Second)
	require.Zero(t, r.Lost)
	xdp, tcx := attached(t, p.ns, "up0")
	require.Equal(t, uint32(1), xdp)
	require.Equal(t, 1, tcx)
	q := p.again(t)
	all := q.list(t)
	require.Len(t, all, 1)
	require.Equal(t, Native, all[0].Mode)
	require.False(t, all[0].Partial || all[0].Gone)
	q.detach(t)
	require.NoError(t, q.RemoveFIB(t.Context()))
	require.Equal(t, before, q.snapshot(t))
}

// dup is a descriptor of the namespace for the child.
func dup(t *testing.T, ns *netns.Handle) int {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(ns.FD()), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	return fd
}
