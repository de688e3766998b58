// SPDX-License-Identifier: Apache-2.0

// Package ovstest runs the real Open vSwitch for tests: Debian's ovsdb-server and ovs-vswitchd with its
// userspace datapath, in a network namespace and a directory of their own. The distribution's service is not
// touched. Test code only.
package ovstest

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is for what takes a moment.
const patience = 10 * time.Second

// Switch is a running Open vSwitch.
type Switch struct {
	// Dir has its sockets and its database.
	Dir string

	t  testing.TB
	in func(func() error) error

	server, daemon *exec.Cmd
}

// Start runs an Open vSwitch until the test ends. What it starts, it starts by in, which runs a function in the
// namespace. Where Open vSwitch is not installed the test is skipped, but fails in CI.
func Start(t testing.TB, in func(func() error) error) *Switch {
	t.Helper()
	for _, program := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl"} {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI has to have Open vSwitch: %s is not there", program)
		}
		t.Skipf("install openvswitch-switch (make openvswitch): %s is not there", program)
	}
	// Not t.TempDir: a socket's path has 107 bytes at most.
	dir, err := os.MkdirTemp("", "mizar-ovs")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	s := &Switch{Dir: dir, t: t, in: in}
	s.run("ovsdb-tool", "create", s.path("conf.db"), "/usr/share/openvswitch/vswitch.ovsschema")
	s.StartServer()
	s.Vsctl("init")
	s.StartDaemon()
	return s
}

// Socket is OVSDB's.
func (s *Switch) Socket() string { return s.path("db.sock") }

// StartServer starts ovsdb-server.
func (s *Switch) StartServer() {
	s.t.Helper()
	s.server = s.start("ovsdb-server", s.path("conf.db"), "--remote=punix:"+s.Socket(),
		"--unixctl="+s.path("server.ctl"), "--no-chdir", "-vconsole:warn")
	s.await(s.Socket())
}

// StopServer kills ovsdb-server.
func (s *Switch) StopServer() {
	s.t.Helper()
	s.stop(&s.server)
	_ = os.Remove(s.Socket())
}

// StartDaemon starts ovs-vswitchd.
func (s *Switch) StartDaemon() {
	s.t.Helper()
	s.daemon = s.start("ovs-vswitchd", "unix:"+s.Socket(), "--unixctl="+s.path("daemon.ctl"), "--no-chdir", "-vconsole:warn")
	s.await(s.path("daemon.ctl"))
}

// StopDaemon kills ovs-vswitchd.
func (s *Switch) StopDaemon() {
	s.t.Helper()
	s.stop(&s.daemon)
	_ = os.Remove(s.path("daemon.ctl"))
}

// Await waits until ovs-vswitchd serves all bridges: a moment after it was started.
func (s *Switch) Await() {
	s.t.Helper()
	for bridge := range strings.FieldsSeq(s.Vsctl("list-br")) {
		s.await(s.path(bridge + ".mgmt"))
	}
}

// FreezeDaemon has ovs-vswitchd do nothing any more, as one that is stuck. It can be killed.
func (s *Switch) FreezeDaemon() {
	s.t.Helper()
	require.NoError(s.t, s.daemon.Process.Signal(syscall.SIGSTOP))
}

// Rows are the ports that the database has, whether ovs-vswitchd has seen them or not.
func (s *Switch) Rows() string {
	s.t.Helper()
	return s.run("ovs-vsctl", "--db=unix:"+s.Socket(), "--timeout=10", "--no-wait", "--columns=name", "list", "port")
}

// Bridge makes a bridge of the userspace datapath.
func (s *Switch) Bridge(name string) {
	s.t.Helper()
	s.Vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev")
}

// Vsctl runs ovs-vsctl, which waits for ovs-vswitchd where that runs.
func (s *Switch) Vsctl(args ...string) string {
	s.t.Helper()
	all := []string{"--db=unix:" + s.Socket(), "--timeout=10"}
	if s.daemon == nil {
		all = append(all, "--no-wait")
	}
	return s.run("ovs-vsctl", append(all, args...)...)
}

// Ofctl runs an ovs-ofctl command on a bridge.
func (s *Switch) Ofctl(command, bridge string, args ...string) string {
	s.t.Helper()
	return s.run("ovs-ofctl", append([]string{"--timeout=10", command, "unix:" + s.path(bridge+".mgmt")}, args...)...)
}

func (s *Switch) path(name string) string { return filepath.Join(s.Dir, name) }

func (s *Switch) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	for _, dir := range []string{"OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"} {
		cmd.Env = append(cmd.Env, dir+"="+s.Dir)
	}
	return cmd
}

func (s *Switch) run(program string, args ...string) string {
	s.t.Helper()
	var out []byte
	err := s.in(func() (err error) {
		out, err = s.command(program, args...).CombinedOutput()
		return err
	})
	require.NoError(s.t, err, "%s %v: %s", program, args, out)
	return string(out)
}

// start starts a program that runs until it is stopped, or the test ends.
func (s *Switch) start(program string, args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := s.command(program, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	require.NoError(s.t, s.in(cmd.Start))
	s.t.Cleanup(func() {
		s.stop(&cmd)
		if s.t.Failed() {
			s.t.Logf("%s: %s", program, said.String())
		}
	})
	return cmd
}

// stop kills a program that we started, if it runs still.
func (s *Switch) stop(cmd **exec.Cmd) {
	s.t.Helper()
	c := *cmd
	*cmd = nil
	if c == nil || c.ProcessState != nil {
		return
	}
	require.NoError(s.t, c.Process.Kill())
	_ = c.Wait()
}

// await waits until a program listens.
func (s *Switch) await(path string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for {
		c, err := net.Dial("unix", path)
		if err == nil {
			require.NoError(s.t, c.Close())
			return
		}
		select {
		case <-ctx.Done():
			require.NoError(s.t, err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
