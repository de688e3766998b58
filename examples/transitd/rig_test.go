// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	api "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/internal/testutil"
)

// node is a transitd in a process of its own, on a host of its own.
type node struct {
	*lab.Host
	socket string
	pid    int
	http   *http.Client // HTTP/2 by the socket, as gRPC takes it
}

// startDaemon starts one with further lines of configuration. It ends with the test, in order.
func startDaemon(t *testing.T, sw *lab.Switch, name, addr, more string) *node {
	t.Helper()
	h, err := sw.Host(name, netip.MustParsePrefix(addr))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	dir := t.TempDir()
	d := &node{Host: h, socket: filepath.Join(dir, "s")}
	config := fmt.Sprintf("name: %s\nbpffs: %s\nstateDir: %s/state\nlisten: {unix: {path: %s}}\nlog: {level: warn}\n%s\n",
		name, testutil.BPFFS(t), dir, d.socket, more)
	file := filepath.Join(dir, "transitd.yaml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))

	var log bytes.Buffer
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asDaemon+"="+file)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, h.Do(cmd.Start)) // children are where the thread is that starts them
	d.pid = cmd.Process.Pid
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(unix.SIGTERM))
		select {
		case err := <-ended:
			require.NoError(t, err, log.String())
		case <-time.After(30 * time.Second):
			require.NoError(t, cmd.Process.Kill())
			<-ended
			t.Errorf("the daemon did not end: %s", log.String())
		}
	})
	d.http = overSocket(d.socket, true)
	t.Cleanup(d.http.CloseIdleConnections)
	testutil.Eventually(t, 30*time.Second, func() error {
		_, err := d.hosts().GetVersion(t.Context(), connect.NewRequest(&pb.GetVersionRequest{}))
		return err
	})
	return d
}

// overSocket is a client whose every host is a Unix socket.
func overSocket(socket string, http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	return &http.Client{Transport: &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}

func (d *node) hosts() api.HostServiceClient {
	return api.NewHostServiceClient(d.http, "http://transitd", connect.WithGRPC())
}

// workload is a namespace for an endpoint, with a name as the API takes it.
func workload(t *testing.T) (ns *lab.Namespace, name string) {
	t.Helper()
	name = fmt.Sprintf("transitd-%d-%d", os.Getpid(), numbers())
	ns, err := lab.NewNamed(name)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, ns.Close())
		require.NoError(t, lab.RemoveNamed(name))
	})
	return ns, name
}

// numbers counts up.
var numbers = func() func() int {
	var mu sync.Mutex
	n := 0
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		n++
		return n
	}
}()
