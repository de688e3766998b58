// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	api "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/internal/testutil"
)

const many = 100_000

// A hundred thousand endpoints, by the bulk call and by Apply, and the same again. How long it takes, and what it
// took the daemon, is told:
//
//	go test -run TestBulk -v ./examples/transitd
//
// It shall be a second at most. The test asks for less: it may not be alone, and the race detector takes its time.
func TestBulk(t *testing.T) {
	testutil.Root(t)
	testutil.Leaks(t)
	sw, err := lab.NewSwitch(false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sw.Close()) })
	d := startDaemon(t, sw, "bulk", "192.0.2.1/24", "limits: {endpoints: 131072, directs: 16384, paths: 16384}")
	all := remote(many)

	// Up to 4096 at once, the library sees to packets that are under way to where each endpoint was.
	for _, message := range []int{4096, 8192} {
		took := d.timed(t, fmt.Sprintf("bulk call by %d", message), func() error {
			added, unchanged, err := d.addAll(t.Context(), all, message)
			require.Equal(t, many, added)
			require.Zero(t, unchanged)
			return err
		})
		require.Less(t, took, slower*5*time.Second)
		d.timed(t, "the same again", func() error {
			added, unchanged, err := d.addAll(t.Context(), all, message)
			require.Zero(t, added)
			require.Equal(t, many, unchanged)
			return err
		})
		d.timed(t, "apply of the same", func() error {
			return d.apply(t, all, &pb.PlanSummary{Kind: pb.Kind_KIND_ENDPOINT, Unchanged: many})
		})
		d.timed(t, "apply of none", func() error {
			return d.apply(t, nil, &pb.PlanSummary{Kind: pb.Kind_KIND_ENDPOINT, Remove: many})
		})
	}
	d.timed(t, "first apply", func() error {
		return d.apply(t, all, &pb.PlanSummary{Kind: pb.Kind_KIND_ENDPOINT, Add: many})
	})
	d.timed(t, "apply of the same", func() error {
		return d.apply(t, all, &pb.PlanSummary{Kind: pb.Kind_KIND_ENDPOINT, Unchanged: many})
	})
	d.timed(t, "list", func() error { return d.listed(t, all) })
}

// remote are endpoints of a VPC on another host.
func remote(n int) []*pb.Endpoint {
	all := make([]*pb.Endpoint, n)
	addr := netip.MustParseAddr("10.0.0.1")
	for i := range all {
		all[i] = &pb.Endpoint{Vni: 7, Address: addr.String(), Host: "192.0.2.2"}
		addr = addr.Next()
	}
	return all
}

// timed tells how long something takes, and what it takes the daemon.
func (n *node) timed(t *testing.T, what string, do func() error) time.Duration {
	t.Helper()
	n.forgetMemory(t)
	start, busy := time.Now(), n.cpu(t)
	require.NoError(t, do())
	took := time.Since(start)
	busy = n.cpu(t) - busy
	t.Logf("%-18s %6.3f s, %7.0f a second; the daemon: %.2f s of CPU, %d MiB", what, took.Seconds(), many/took.Seconds(),
		busy.Seconds(), n.memory(t))
	return took
}

// addAll sends endpoints, so many in each message, while answers come.
func (n *node) addAll(ctx context.Context, all []*pb.Endpoint, message int) (added, unchanged int, err error) {
	s := api.NewEndpointServiceClient(n.http, "http://transitd", connect.WithGRPC()).AddEndpoints(ctx)
	sent := make(chan error, 1)
	go func() {
		for i := 0; i < len(all); i += message {
			if err := s.Send(&pb.AddEndpointsRequest{Endpoints: all[i:min(i+message, len(all))]}); err != nil {
				break // the answer says why
			}
		}
		sent <- s.CloseRequest()
	}()
	for {
		answer, e := s.Receive()
		if errors.Is(e, io.EOF) {
			break
		}
		if err = e; err != nil {
			break
		}
		added, unchanged = int(answer.Added), int(answer.Unchanged)
	}
	return added, unchanged, errors.Join(err, <-sent, s.CloseResponse())
}

// apply has all in one request, and compares what the daemon says that it did with them.
func (n *node) apply(t *testing.T, all []*pb.Endpoint, want *pb.PlanSummary) error {
	got, err := n.hosts().Apply(t.Context(), connect.NewRequest(&pb.ApplyRequest{State: &pb.State{Endpoints: all}}))
	if err != nil {
		return err
	}
	require.Equal(t, want.Unchanged != many, got.Msg.Changed)
	require.Len(t, got.Msg.Summary, 1)
	require.EqualExportedValues(t, want, got.Msg.Summary[0])
	return nil
}

// listed compares what the daemon's kernel has.
func (n *node) listed(t *testing.T, want []*pb.Endpoint) error {
	s, err := api.NewEndpointServiceClient(n.http, "http://transitd", connect.WithGRPC()).
		ListEndpoints(t.Context(), connect.NewRequest(&pb.ListEndpointsRequest{}))
	if err != nil {
		return err
	}
	found := make(map[string]string, len(want))
	for s.Receive() {
		for _, e := range s.Msg().Endpoints {
			found[e.Address] = e.Host
		}
	}
	require.Len(t, found, len(want))
	for _, e := range want {
		require.Equal(t, e.Host, found[e.Address])
	}
	return errors.Join(s.Err(), s.Close())
}
