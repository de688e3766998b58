// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/bpf"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	api "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
	"github.com/mizar-go/mizar/examples/transitd/internal/config"
	"github.com/mizar-go/mizar/examples/transitd/internal/daemon"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// A child is this test's binary, run again: the daemon, in the namespace that it is started in.
const (
	childDir   = "MIZAR_TEST_DIR" // where its socket and its state are
	childBPFFS = "MIZAR_TEST_BPFFS"
	childOVS   = "MIZAR_TEST_OVS" // ovsdb-server's socket; empty: there is none
)

func child() int {
	c := config.Default()
	dir := os.Getenv(childDir)
	c.Name, c.BPFFS, c.StateDir = "a", os.Getenv(childBPFFS), filepath.Join(dir, "state")
	c.Limits = bpf.Limits{
		Endpoints: 1024, Networks: 64, VPCs: 64, Sets: 64, Peers: 64, Agents: 64, Allowed: 64, Directs: 1024, Paths: 64, Traffic: 64,
	}
	c.Listen.Unix.Path = filepath.Join(dir, "s")
	c.Metrics = config.Metrics{}
	if c.OVS.Socket = os.Getenv(childOVS); c.OVS.Socket == "" {
		c.OVS.Socket = filepath.Join(dir, "no-such-switch")
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := daemon.Run(context.Background(), c, log); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a daemon, and a client of it. It is killed and started again.
type process struct {
	dir   string
	ovs   string // ovsdb-server's socket; empty: there is none
	cmd   *exec.Cmd
	ended chan error
	log   *os.File

	transport *http.Transport
	hosts     api.HostServiceClient
}

// newProcess makes a place for a daemon; start starts it.
func newProcess(t testing.TB) *process {
	t.Helper()
	p := &process{dir: t.TempDir()}
	log, err := os.Create(filepath.Join(p.dir, "log"))
	require.NoError(t, err)
	p.log = log
	only2 := new(http.Protocols)
	only2.SetUnencryptedHTTP2(true)
	p.transport = &http.Transport{Protocols: only2, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.dir, "s"))
	}}
	p.hosts = api.NewHostServiceClient(&http.Client{Transport: p.transport}, "http://host", connect.WithGRPC())
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill(t)
		}
		p.transport.CloseIdleConnections()
		if t.Failed() {
			raw, _ := os.ReadFile(log.Name())
			t.Logf("the daemon's log:\n%s", raw[max(0, len(raw)-8000):])
		}
		require.NoError(t, log.Close())
	})
	return p
}

// start returns when the daemon answers.
func (p *process) start(t testing.TB, ns *netns.Handle, bpffs string) {
	t.Helper()
	p.launch(t, ns, bpffs)
	p.answers(t)
}

// launch returns when it runs, and has perhaps done nothing yet.
func (p *process) launch(t testing.TB, ns *netns.Handle, bpffs string) {
	t.Helper()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), childDir+"="+p.dir, childBPFFS+"="+bpffs, childOVS+"="+p.ovs)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	require.NoError(t, ns.Do(p.cmd.Start))
	p.ended = make(chan error, 1)
	cmd, ended := p.cmd, p.ended
	go func() { ended <- cmd.Wait() }()
}

func (p *process) answers(t testing.TB) {
	t.Helper()
	ended := p.ended
	testutil.Eventually(t, 30*time.Second, func() error {
		select {
		case err := <-ended:
			ended <- err
			raw, _ := os.ReadFile(p.log.Name())
			t.Fatalf("the daemon ended: %v\n%s", err, raw)
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := p.hosts.GetVersion(ctx, connect.NewRequest(&pb.GetVersionRequest{}))
		return err
	})
}

// kill takes no time to end in order.
func (p *process) kill(t testing.TB) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	var exit *exec.ExitError
	if err := <-p.ended; !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("it ended by itself: %v", err)
	}
	p.transport.CloseIdleConnections()
	p.cmd = nil
}

func (p *process) apply(ctx context.Context, s *pb.State) error {
	_, err := p.hosts.Apply(ctx, connect.NewRequest(&pb.ApplyRequest{State: s}))
	return err
}

// state is what the daemon says.
func (p *process) state(t testing.TB) *pb.State {
	t.Helper()
	stream, err := p.hosts.GetState(t.Context(), connect.NewRequest(&pb.GetStateRequest{Objects: true}))
	require.NoError(t, err)
	s := &pb.State{}
	for stream.Receive() {
		proto.Merge(s, stream.Msg().State)
	}
	require.NoError(t, errors.Join(stream.Err(), stream.Close()))
	return s
}
