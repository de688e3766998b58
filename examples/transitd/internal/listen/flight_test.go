// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"errors"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	dataplanev1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/internal/testutil"
)

// A client has so many calls under way, however many connections it makes, and another does not suffer from it.
func TestCallsOfOne(t *testing.T) {
	few := limits()
	few.MaxStreams = 5
	clients := newAuthority(t, "clients")
	w, own, _ := startTLS(t, few, clients)
	viewer := clients.client(t, leaf{cn: "viewer"})
	watch := func() (*connect.ServerStreamForClient[dataplanev1.WatchEventsResponse], error) {
		s, err := byTLS(t, w.tcp(0), own, viewer, connect.WithGRPC()).stats.WatchEvents(t.Context(), connect.NewRequest(&dataplanev1.WatchEventsRequest{}))
		require.NoError(t, err)
		if s.Receive() {
			return s, nil
		}
		return s, errors.Join(s.Err(), s.Close())
	}
	var open []*connect.ServerStreamForClient[dataplanev1.WatchEventsResponse]
	for range 10 {
		s, err := watch()
		require.NoError(t, err)
		defer s.Close()
		open = append(open, s)
	}
	_, err := watch()
	refused(t, err, connect.CodeResourceExhausted, dataplanev1.Cause_CAUSE_RATE)
	for _, options := range protocols {
		refused(t, byTLS(t, w.tcp(0), own, viewer, options...).get(t), connect.CodeResourceExhausted, dataplanev1.Cause_CAUSE_RATE)
	}
	w.logs.has(t, "level", "WARN", "client", "cn:viewer", "code", "resource_exhausted", "reason", "under way")
	require.NoError(t, byTLS(t, w.tcp(0), own, clients.client(t, leaf{cn: "op"})).get(t))
	require.NoError(t, w.byUnix(t, true).get(t))

	require.NoError(t, open[0].Close())
	testutil.Eventually(t, 5*time.Second, func() error {
		s, err := watch()
		return errors.Join(err, s.Close())
	})
	for _, s := range open {
		_ = s.Close()
	}
	testutil.Eventually(t, 5*time.Second, func() error {
		w.flight.mu.Lock()
		defer w.flight.mu.Unlock()
		if len(w.flight.by) != 0 {
			return errors.New("what has ended is counted still")
		}
		return nil
	})
}
