// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/internal/testutil"
)

// After a boot the namespace of a workload comes later than the daemon: the endpoint is made when it is there, and is
// the same one to its neighbours.
func TestHeal(t *testing.T) {
	a, _ := twoHosts(t, nil)
	name := fmt.Sprintf("mizar-test-%s", filepath.Base(filepath.Dir(t.TempDir())))
	workload, err := lab.NewNamed(name)
	require.NoError(t, err)
	state := fmt.Sprintf(`{%s, "localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"netns":%q}]}`, tenant, name)
	a.apply(state)
	before := a.local()
	a.stop()
	require.NoError(t, lab.RemoveNamed(name))
	require.NoError(t, workload.Close())
	testutil.Eventually(t, 10*time.Second, func() error { // the kernel takes namespaces apart later
		if testutil.Exists(t, a.ns, before.Status.HostInterface) {
			return errors.New("the interface is still there")
		}
		return nil
	})
	a.start()
	require.Len(t, a.health().Problems, 1)
	require.NotEmpty(t, a.health().Repairs[0].Error)

	workload, err = lab.NewNamed(name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lab.RemoveNamed(name)) })
	t.Cleanup(func() { require.NoError(t, workload.Close()) })
	testutil.Eventually(t, 10*time.Second, func() error {
		if p := a.health().Problems; len(p) > 0 {
			return fmt.Errorf("%v", p)
		}
		return nil
	})
	repairs := a.health().Repairs
	require.Empty(t, repairs[len(repairs)-1].Error)
	require.Equal(t, before.Status.Mac, a.local().Status.Mac)
	require.Equal(t, before.Etag, a.local().Etag)
	require.False(t, a.apply(state).Changed)
	a.apply(`{}`)
}

// local is the only endpoint here.
func (s *served) local() *pb.LocalEndpoint {
	s.t.Helper()
	got, err := s.endpoints.ListLocalEndpoints(s.t.Context(), request(&pb.ListLocalEndpointsRequest{}))
	require.NoError(s.t, err)
	require.Len(s.t, got.Msg.LocalEndpoints, 1)
	return got.Msg.LocalEndpoints[0]
}
