// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// inside tells whether the calling thread is in a namespace.
func inside(ns *netns.Handle) error {
	now, err := netns.Current()
	if err != nil {
		return err
	}
	defer now.Close()
	if is, err := ns.Same(now); err != nil || !is {
		return errors.Join(err, errors.New("in another namespace"))
	}
	return nil
}

func TestDo(t *testing.T) {
	home, a, b := current(t), testutil.NewNS(t), testutil.NewNS(t)
	require.NoError(t, a.Do(func() error {
		return errors.Join(
			inside(a),
			b.Do(func() error { return errors.Join(inside(b), a.Do(func() error { return inside(a) })) }),
			inside(a),
			a.Do(func() error { return inside(a) }),
			home.Do(func() error { return inside(home) }),
			inside(a),
		)
	}))
	require.NoError(t, inside(home))

	want := errors.New("want")
	require.Equal(t, want, a.Do(func() error { return want }))
	require.Equal(t, want, home.Do(func() error { return want }))
}

func TestDoConcurrently(t *testing.T) {
	home := current(t)
	spaces := []*netns.Handle{testutil.NewNS(t), testutil.NewNS(t), home}
	var all sync.WaitGroup
	errs := make([]error, 60)
	for i := range errs {
		all.Go(func() {
			for range 20 {
				ns := spaces[i%len(spaces)]
				errs[i] = errors.Join(errs[i], ns.Do(func() error {
					runtime.Gosched()
					return inside(ns)
				}), inside(home))
			}
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
}

func TestDoPanics(t *testing.T) {
	home, ns := current(t), testutil.NewNS(t)
	for _, h := range []*netns.Handle{ns, home} {
		require.PanicsWithValue(t, "at the disco", func() {
			_ = h.Do(func() error { panic("at the disco") })
		})
		require.NoError(t, inside(home))
	}
}

// A test's FailNow inside ends the test, not only the function.
func TestDoGoexit(t *testing.T) {
	home, ns := current(t), testutil.NewNS(t)
	for _, h := range []*netns.Handle{ns, home} {
		ended, returned := make(chan struct{}), false
		go func() {
			defer close(ended)
			_ = h.Do(func() error {
				runtime.Goexit()
				return nil
			})
			returned = true
		}()
		<-ended
		require.False(t, returned)
	}
	require.NoError(t, inside(home))
}

// Where there is no way back the thread ends, and the caller is on another, at home.
func TestDoNoWayBack(t *testing.T) {
	home, ns := current(t), testutil.NewNS(t)
	thread := 0
	err := ns.Do(func() error {
		thread = unix.Gettid()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		return unix.Capset(&header, &none[0])
	})
	require.ErrorIs(t, err, unix.EPERM)
	require.ErrorContains(t, err, "return from network namespace")
	require.NoError(t, inside(home))
	testutil.Eventually(t, 5*time.Second, func() error {
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("thread %d is still there", thread)
		}
		return nil
	})
}

// A process without CAP_SYS_ADMIN can work where it is.
func TestDoWithoutCapability(t *testing.T) {
	testutil.Root(t)
	home := current(t)
	testutil.Without(t, unix.CAP_SYS_ADMIN, func() {
		require.NoError(t, home.Do(func() error { return inside(home) }))
		_, err := home.Cookie()
		require.NoError(t, err)
	})
}

func TestNew(t *testing.T) {
	testutil.Root(t)
	home := current(t)
	h, err := netns.New()
	require.NoError(t, err)
	require.NoError(t, inside(home))
	require.NoError(t, h.Do(func() error { return inside(h) }))
	is, err := h.Same(home)
	require.NoError(t, err)
	require.False(t, is)
	require.NoError(t, h.Close())
}
