// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

func TestOpenMakesWhatDestroyRemoves(t *testing.T) {
	h := newHost(t)
	before := interfaces(t, h.ns)
	dp := h.open(t)
	require.Equal(t, Report{Limits: h.config().Limits}, dp.Report())
	require.Equal(t, "a", dp.Name())
	require.NotEqual(t, before, interfaces(t, h.ns)) // the device of route lookups

	s, err := dp.rows.Settings.Get()
	require.NoError(t, err)
	cookie, err := h.ns.Cookie()
	require.NoError(t, err)
	require.Equal(t, maps.Settings{
		FIBIfindex: s.FIBIfindex, Port: 6081, OptionClass: maps.OptionClass,
		DirectAge: DefaultDirectAge, PathAge: DefaultPathAge, Refresh: refresh,
		EventsPerSecond: DefaultEventsPerSecond, NetNS: cookie, Build: bpf.Build(),
	}, s)
	require.NotZero(t, s.FIBIfindex)

	require.NoError(t, dp.Destroy(t.Context()))
	require.Equal(t, before, interfaces(t, h.ns))
	require.Empty(t, h.files(t))
	require.ErrorIs(t, dp.Destroy(t.Context()), ErrClosed)
	require.NoError(t, dp.Close())
}

// TestOpenAdoptsWhatCloseLeft: all that there was is there again, and traffic flows in between.
func TestOpenAdoptsWhatCloseLeft(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		h, other := newHosts(t)
		before := interfaces(t, h.ns)
		workload := testutil.NewNS(t)
		c := contentsOf(h, other, 1, 2)
		dp := h.open(t)
		require.NoError(t, c.fill(t.Context(), dp, mode, endpoint.FD(workload.FD())))
		c.requireFilled(t, dp)
		links, err := dp.links()
		require.NoError(t, err)
		require.NoError(t, dp.Close())

		again := h.open(t)
		r := again.Report()
		require.True(t, r.Adopted)
		require.False(t, r.Upgraded || r.Gone())
		require.Len(t, r.Droplets, 1)
		require.Equal(t, mode, r.Droplets[0].Mode)
		require.Len(t, r.Endpoints, 1)
		require.Equal(t, "mzworkload", r.Endpoints[0].HostInterface)
		require.Len(t, r.Links, len(links))
		kept, err := again.links()
		require.NoError(t, err)
		require.Equal(t, links, kept) // the same programs
		c.requireFilled(t, again)
		require.NoError(t, again.Destroy(t.Context()))
		require.Equal(t, before, interfaces(t, h.ns))
		require.Empty(t, h.files(t))
		require.False(t, testutil.Exists(t, workload, "eth0"))
	})
}

func TestOpenWhileOpenIsLocked(t *testing.T) {
	h := newHost(t)
	dp := h.open(t)
	_, err := Open(t.Context(), h.config())
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, dp.Close())
	h.destroy(t)
	require.Empty(t, h.files(t))
}

// TestOpenAndDestroyAtOnce: of many at most one holds the instance, and none trips over what another
// removes, nor does who only looks.
func TestOpenAndDestroyAtOnce(t *testing.T) {
	h := newHost(t)
	var (
		wg     sync.WaitGroup
		holder sync.Mutex
		opened = make(chan struct{}, 64)
		failed = make(chan error, 64)
	)
	for range 4 {
		wg.Go(func() {
			for range 4 {
				dp, err := Open(t.Context(), h.config())
				if errors.Is(err, ErrLocked) {
					continue
				}
				if err != nil {
					failed <- err
					return
				}
				if !holder.TryLock() {
					failed <- errors.New("two hold the instance")
					return
				}
				opened <- struct{}{}
				holder.Unlock()
				if err := dp.Destroy(t.Context()); err != nil {
					failed <- err
				}
			}
		})
	}
	stop := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			v, err := InspectAt(h.bpffs, h.name)
			if err == nil {
				err = v.Close()
			}
			if err != nil && !errors.Is(err, ErrNotFound) {
				failed <- err
				return
			}
		}
	})
	wg.Wait()
	close(stop)
	looking.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	require.NotEmpty(t, opened)
	require.Empty(t, h.files(t))
}

func TestOpenMountsBPFFS(t *testing.T) {
	h := newHost(t)
	dir := t.TempDir()
	h.bpffs = dir
	dp, err := Open(t.Context(), h.config())
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Unmount(dir, 0)) }()
	require.NoError(t, dp.Destroy(t.Context()))
	require.Empty(t, h.files(t))

	testutil.Without(t, unix.CAP_SYS_ADMIN, func() {
		h.bpffs = t.TempDir()
		_, err = Open(t.Context(), h.config())
		require.ErrorIs(t, err, ErrPermission)
		require.ErrorContains(t, err, "CAP_SYS_ADMIN")
	})

	h.bpffs = filepath.Join(t.TempDir(), "is", "missing")
	_, err = Open(t.Context(), h.config())
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, h.bpffs)
}

func TestOpenOfAnotherNamespace(t *testing.T) {
	h, other := newHosts(t)
	dp := h.open(t)
	require.NoError(t, dp.Peer.Add(t.Context(), maps.Peer{Prefix: underlay}))
	require.NoError(t, dp.Close())
	before := interfaces(t, other.ns)
	other.name = h.name
	_, err := Open(t.Context(), other.config())
	require.ErrorIs(t, err, ErrNetNS)
	require.Equal(t, before, interfaces(t, other.ns))
	dp = h.open(t)
	_, err = dp.Peer.Get(t.Context(), underlay)
	require.NoError(t, err)
	require.NoError(t, dp.Destroy(t.Context()))

	missing := h.config()
	missing.NetNS = filepath.Join(t.TempDir(), "missing")
	_, err = Open(t.Context(), missing)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Empty(t, h.files(t))
}

func TestOpenOfAnotherLayout(t *testing.T) {
	h := newHost(t)
	dp := h.open(t)
	require.NoError(t, dp.Close())
	newer := filepath.Join(h.pins().dir, "v99")
	require.NoError(t, os.Rename(h.pins().layout(), newer))
	_, err := Open(t.Context(), h.config())
	require.ErrorIs(t, err, ErrABI)
	require.DirExists(t, newer)
	_, err = InspectAt(h.bpffs, h.name)
	require.ErrorIs(t, err, ErrABI)
	require.NoError(t, os.Rename(newer, h.pins().layout()))
	h.destroy(t)
}

// TestOpenChangesSettings: what is asked for takes the place of what is, and the rest stays.
func TestOpenChangesSettings(t *testing.T) {
	h := newHost(t)
	c := h.config()
	c.Port, c.DirectAge, c.EventsPerSecond = 7000, time.Minute, 5
	dp, err := Open(t.Context(), c)
	require.NoError(t, err)
	first, err := dp.rows.Settings.Get()
	require.NoError(t, err)
	require.Equal(t, uint16(7000), first.Port)
	require.NoError(t, dp.Close())

	c = h.config()
	c.PathAge, c.EventsPerSecond = time.Hour, -1
	dp, err = Open(t.Context(), c)
	require.NoError(t, err)
	want := first
	want.PathAge, want.EventsPerSecond = time.Hour, 0
	got, err := dp.rows.Settings.Get()
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NoError(t, dp.Destroy(t.Context()))
}

func TestOpenTellsWhatLimitsAre(t *testing.T) {
	h := newHost(t)
	h.open(t).Close()
	var said strings.Builder
	c := h.config()
	c.Limits = bpf.Limits{Endpoints: 1024, VPCs: 65}
	c.Logger = slog.New(slog.NewTextHandler(&said, nil))
	dp, err := Open(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, h.config().Limits, dp.Limits())
	require.Equal(t, []string{"VPCs: 64, not 65"}, dp.Report().Differs)
	require.Contains(t, said.String(), "VPCs: 64, not 65")
	require.NoError(t, dp.Destroy(t.Context()))
}

func TestInvalidConfig(t *testing.T) {
	for name, c := range map[string]Config{
		"dot":         {Name: "a.b"},
		"slash":       {Name: "a/b"},
		"up":          {Name: ".."},
		"long":        {Name: strings.Repeat("a", 33)},
		"direct age":  {DirectAge: -1},
		"path age":    {PathAge: -1},
		"many events": {EventsPerSecond: 1 << 40},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), c)
			require.ErrorIs(t, err, ErrInvalid)
			if c.Name != "" {
				_, err = Inspect(c.Name)
				require.ErrorIs(t, err, ErrInvalid)
			}
		})
	}
}

// TestOpenWithoutCapability: the error says what is missing, also where programs are to be replaced, and
// nothing is made or lost.
func TestOpenWithoutCapability(t *testing.T) {
	h := newHost(t)
	try := func() {
		t.Helper()
		before := tree(t, h.bpffs)
		testutil.Without(t, unix.CAP_SYS_ADMIN, func() {
			testutil.Without(t, unix.CAP_BPF, func() {
				dp, err := Open(t.Context(), h.config())
				if err == nil {
					require.NoError(t, dp.Close())
				}
				require.ErrorIs(t, err, ErrPermission)
				require.NotErrorIs(t, err, ErrABI)
				require.ErrorContains(t, err, "CAP_BPF")
			})
		})
		require.Equal(t, before, tree(t, h.bpffs))
	}
	try()
	require.NoError(t, h.open(t).Close())
	h.foreign(t)
	try()
	h.destroy(t)
	require.Empty(t, h.files(t))
}
