// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs/ovstest"
)

// runSwitch kills ovsdb-server or ovs-vswitchd, or both, and starts them again. Wherever in an Apply that is, the daemon says
// that the host is in the old state or in the new, and soon it is, as a whole: what could not be undone meanwhile is
// put back, or goes, and flows are there again.
func (k *killer) runSwitch(t *testing.T, sw *ovstest.Switch, kills int) {
	t.Helper()
	var healed, answered int
	for i := range kills {
		next := 1 - k.now
		delay := time.Duration(k.random.Int64N(int64(k.takes[next]) * 11 / 10))
		away := time.Duration(k.random.Int64N(int64(time.Second)))
		which := 1 + k.random.IntN(3)
		what := fmt.Sprintf("kill %d, of %s, after %v, for %v", i, []string{"", "ovsdb-server", "ovs-vswitchd", "both"}[which], delay, away)
		applied := make(chan error, 1)
		go func() { applied <- k.p.apply(t.Context(), k.states[next]) }()
		time.Sleep(delay)
		if which&1 != 0 {
			sw.StopServer()
		}
		if which&2 != 0 {
			sw.StopDaemon()
		}
		time.Sleep(away)
		if which&1 != 0 {
			sw.StartServer()
		}
		if which&2 != 0 {
			sw.StartDaemon()
		}
		err := <-applied
		says := host.TextsOf(k.p.state(t))
		is := slices.IndexFunc(k.states[:], func(s *pb.State) bool { return slices.Equal(host.TextsOf(s), says) })
		if is < 0 {
			require.Equal(t, host.TextsOf(k.states[k.now]), says, "%s: neither the one nor the other: %v", what, err)
		}
		if err == nil {
			answered++
			require.Equal(t, next, is, what)
		}
		k.now = is
		sw.Await()
		if !k.settled(t, 0) {
			healed++
			k.settled(t, 40*time.Second)
		}
		health, err2 := k.p.hosts.GetHealth(t.Context(), connect.NewRequest(&pb.GetHealthRequest{}))
		require.NoError(t, err2)
		require.Empty(t, health.Msg.Problems, "%s: %v", what, err)
		require.Equal(t, k.kernels[is], k.kernel(t), "%s: %v", what, err)
	}
	t.Logf("the switch was killed %d times: %d Applies were done all the same, %d times there was something to heal", kills, answered, healed)
}

// settled tells whether the host is as the daemon says, within the time that it has to heal.
func (k *killer) settled(t *testing.T, within time.Duration) bool {
	t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		health, err := k.p.hosts.GetHealth(t.Context(), connect.NewRequest(&pb.GetHealthRequest{}))
		require.NoError(t, err)
		if len(health.Msg.Problems) == 0 && slices.Equal(k.kernels[k.now], k.kernel(t)) {
			return true
		}
		if time.Since(began) > within {
			return false
		}
	}
}
