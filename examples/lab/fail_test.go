// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// steps of the sample of two hosts, each in a line of its own.
func steps(name string) []string {
	return []string{
		"underlay " + name + "-underlay", "host " + name + "-a", "host " + name + "-b", "data-plane " + name + "-a",
		"VPC red on a", "endpoint " + name + "-web", "data-plane " + name + "-b", "VPC red on b", "endpoint " + name + "-db",
	}
}

// Whatever fails, and whenever the user has had enough: nothing stays.
func TestFail(t *testing.T) {
	text := sample(t, "two-hosts.yaml")
	nothing := errors.New("no more paper")
	for i := range steps("") {
		name := newName(t)
		ctx, cancel := context.WithCancel(t.Context())
		out, want := &trigger{on: steps(name)[i], f: func() error { return nothing }}, nothing
		if i%2 == 1 {
			out.f, want = func() error { cancel(); return nil }, context.Canceled
		}
		require.ErrorIs(t, up(ctx, out, "f.yaml", name, text), want, out.on)
		require.Empty(t, leftOf(t, name), out.on)
		cancel()
	}
}

// A namespace that goes while the lab is built is an error in the middle of it.
func TestFailForReal(t *testing.T) {
	name := newName(t)
	out := &trigger{on: "data-plane " + name + "-a", f: func() error { return lab.RemoveNamed(name + "-b") }}
	err := up(t.Context(), out, "f.yaml", name, sample(t, "two-hosts.yaml"))
	require.ErrorContains(t, err, "host b: open data-plane "+name+"-b: ")
	require.Empty(t, leftOf(t, name))
}

// What has a name of the lab's and is not its own is in the way, and stays.
func TestNamesTaken(t *testing.T) {
	name, text := newName(t), sample(t, "two-hosts.yaml")
	ns, err := lab.NewNamed(name + "-db")
	require.NoError(t, err)
	require.NoError(t, ns.Close())
	err = up(t.Context(), io.Discard, "f.yaml", name, text)
	require.ErrorContains(t, err, lab.NamePath(name+"-db")+" exists, and is not its own")
	require.Equal(t, []string{lab.NamePath(name + "-db")}, leftOf(t, name))
	require.NoError(t, lab.RemoveNamed(name+"-db"))

	dp, err := dataplane.Open(t.Context(), dataplane.Config{Name: name + "-b"})
	require.NoError(t, err)
	err = up(t.Context(), io.Discard, "f.yaml", name, text)
	require.ErrorContains(t, err, pins(name+"-b")+" exists, and is not its own")
	require.NoError(t, dp.Destroy(t.Context()))
}

// program starts the lab as a process, and returns once it has written of something. It gets no further than
// two lines more until the rest is read: the pipe has room for one write.
func program(t *testing.T, until string, args ...string) (cmd *exec.Cmd, rest io.Reader, stderr *bytes.Buffer) {
	t.Helper()
	var pipe [2]int
	require.NoError(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_DIRECT))
	r, w := os.NewFile(uintptr(pipe[0]), "stdout"), os.NewFile(uintptr(pipe[1]), "stdout")
	t.Cleanup(func() { r.Close() })
	_, err := unix.FcntlInt(uintptr(pipe[0]), unix.F_SETPIPE_SZ, os.Getpagesize())
	require.NoError(t, err)
	cmd, stderr = exec.Command(os.Args[0], args...), new(bytes.Buffer)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = w, stderr
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close()) // the process has its own
	line := make([]byte, os.Getpagesize())
	for {
		n, err := r.Read(line) // a line: packets keep their bounds
		if err != nil {
			t.Fatalf("it ended: %v: %s", cmd.Wait(), stderr)
		}
		if bytes.Contains(line[:n], []byte(until)) {
			return cmd, r, stderr
		}
	}
}

// Ctrl-C, a hang-up, a polite kill: the program takes down what it has built.
func TestInterrupt(t *testing.T) {
	for i, signal := range map[int]os.Signal{0: unix.SIGTERM, 1: unix.SIGINT, 3: unix.SIGHUP} {
		name := newName(t)
		cmd, rest, stderr := program(t, steps(name)[i], "up", "-name", name, "two-hosts.yaml")
		require.NoError(t, cmd.Process.Signal(signal))
		_, err := io.Copy(io.Discard, rest)
		require.NoError(t, err)
		require.Error(t, cmd.Wait())
		require.Equal(t, 1, cmd.ProcessState.ExitCode(), stderr.String())
		require.Regexp(t, "^lab "+name+": (.*: )?context canceled\n$", stderr.String())
		require.Empty(t, leftOf(t, name))
	}
}

// What cannot be caught leaves a lab half built, for down to take away; nobody else may build it meanwhile.
func TestKill(t *testing.T) {
	for _, i := range []int{0, 2, 3, 5, 6} {
		name := newName(t)
		cmd, _, _ := program(t, steps(name)[i], "up", "-name", name, "two-hosts.yaml")
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		require.NotEmpty(t, leftOf(t, name))
		require.ErrorIs(t, up(t.Context(), io.Discard, "f.yaml", name, sample(t, "two-hosts.yaml")), errUp)
		require.NoError(t, down(t.Context(), io.Discard, name))
		require.Empty(t, leftOf(t, name))
	}
}

// While it is built, a lab is nobody else's to take down.
func TestBusy(t *testing.T) {
	name := newName(t)
	out := &trigger{on: "host " + name + "-a", f: func() error {
		if err := down(t.Context(), io.Discard, name); !errors.Is(err, errBusy) {
			return errors.Join(errors.New("it was taken down"), err)
		}
		return nil
	}}
	require.NoError(t, up(t.Context(), out, "f.yaml", name, sample(t, "two-hosts.yaml")))
	require.NoError(t, down(t.Context(), io.Discard, name))
}

// Parts that went by other hands, or by a reboot where /run is a disk: down takes the rest.
func TestRemains(t *testing.T) {
	for what, lose := range map[string]func(t *testing.T, name string){
		"a namespace": func(t *testing.T, name string) { require.NoError(t, lab.RemoveNamed(name+"-a")) },
		"pins":        func(t *testing.T, name string) { require.NoError(t, os.RemoveAll(pins(name+"-a"))) },
		"half of the pins": func(t *testing.T, name string) {
			require.NoError(t, os.RemoveAll(pins(name+"-b")+"/v2/programs"))
		},
		"all but files": func(t *testing.T, name string) {
			for _, of := range []string{"underlay", "a", "b", "web", "db"} {
				require.NoError(t, lab.RemoveNamed(name+"-"+of))
				require.NoError(t, os.WriteFile(lab.NamePath(name+"-"+of), nil, 0o444))
				require.NoError(t, os.RemoveAll(pins(name+"-"+of)))
			}
		},
		"all": func(t *testing.T, name string) {
			for _, of := range []string{"underlay", "a", "b", "web", "db"} {
				require.NoError(t, lab.RemoveNamed(name+"-"+of))
				require.NoError(t, os.RemoveAll(pins(name+"-"+of)))
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			name := newName(t)
			require.NoError(t, up(t.Context(), io.Discard, "f.yaml", name, sample(t, "two-hosts.yaml")))
			lose(t, name)
			require.NoError(t, down(t.Context(), io.Discard, name))
			require.Empty(t, leftOf(t, name))
		})
	}
}

// Where another process has a data-plane open, down says so, and can be tried again.
func TestDownWhileOpen(t *testing.T) {
	name := newName(t)
	require.NoError(t, up(t.Context(), io.Discard, "f.yaml", name, sample(t, "two-hosts.yaml")))
	dp, err := dataplane.Open(t.Context(), dataplane.Config{Name: name + "-a", NetNS: lab.NamePath(name + "-a")})
	require.NoError(t, err)
	require.ErrorIs(t, down(t.Context(), io.Discard, name), dataplane.ErrLocked)
	require.NoError(t, dp.Close())
	require.NoError(t, down(t.Context(), io.Discard, name))
}

// Processes that are left in a namespace keep it: down says which.
func TestDownWithProcess(t *testing.T) {
	name := newName(t)
	require.NoError(t, up(t.Context(), io.Discard, "f.yaml", name, sample(t, "two-hosts.yaml")))
	ns, err := netns.FromPath(lab.NamePath(name + "-db"))
	require.NoError(t, err)
	cmd := exec.Command("/bin/cat")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, ns.Do(cmd.Start))
	require.NoError(t, ns.Close())
	var out bytes.Buffer
	require.NoError(t, down(t.Context(), &out, name))
	require.Regexp(t, fmt.Sprintf(`namespace %s-db: removed; process %d \(.*\) is still in it\n`, name, cmd.Process.Pid), out.String())
	require.NoError(t, stdin.Close())
	require.NoError(t, cmd.Wait())
}
