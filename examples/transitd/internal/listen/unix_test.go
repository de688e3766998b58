// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mizar-go/mizar/examples/transitd/internal/config"
	"github.com/stretchr/testify/require"
)

func open(t testing.TB, c config.Unix) *socket {
	t.Helper()
	s, err := openSocket(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// entries are the names in a directory.
func entries(t testing.TB, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

func TestSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	path := filepath.Join(dir, "s")
	old := syscall.Umask(0o077) // which is not to count
	defer syscall.Umask(old)
	s := open(t, config.Unix{Path: path, Group: fmt.Sprint(os.Getgid())})
	info, err := os.Lstat(dir)
	require.NoError(t, err)
	require.Equal(t, os.ModeDir|0o755, info.Mode())
	info, err = os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket|0o660, info.Mode())
	require.Equal(t, []string{"s"}, entries(t, dir), "nothing else is left")
	require.Equal(t, path, s.Addr().String())

	_, err = openSocket(config.Unix{Path: path})
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, s.Close())
	require.Empty(t, entries(t, dir))
	require.ErrorIs(t, s.Close(), net.ErrClosed)
}

// The group is the one asked for.
func TestSocketGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files to groups that it is not in")
	}
	path := filepath.Join(t.TempDir(), "s")
	for group, want := range map[string]uint32{"12345": 12345, "daemon": 1, "": uint32(os.Getgid())} {
		s := open(t, config.Unix{Path: path, Group: group})
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, want, info.Sys().(*syscall.Stat_t).Gid)
		require.NoError(t, s.Close())
	}
	_, err := openSocket(config.Unix{Path: path, Group: "no-such-group"})
	require.ErrorContains(t, err, "no-such-group")
	require.NoFileExists(t, path)
}

// A socket of a daemon that has died is replaced; what is no socket is not.
func TestSocketStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.FileExists(t, path)
	s := open(t, config.Unix{Path: path})
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, s.Close())

	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err = openSocket(config.Unix{Path: path})
	require.ErrorIs(t, err, ErrInUse)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "precious", string(text))
	require.Equal(t, []string{"s"}, entries(t, filepath.Dir(path)))
}

// Closing takes away our socket, and not the next daemon's.
func TestSocketReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first := open(t, config.Unix{Path: path})
	require.NoError(t, os.Remove(path))
	second := open(t, config.Unix{Path: path})
	require.NoError(t, first.Close())
	require.FileExists(t, path)
	require.NoError(t, second.Close())
	require.NoFileExists(t, path)
}

// Of many daemons that start at once over a stale socket, one gets it.
func TestSocketRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for range 20 {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		require.NoError(t, err)
		l.SetUnlinkOnClose(false)
		require.NoError(t, l.Close())
		var all sync.WaitGroup
		got := make([]*socket, 8)
		for i := range got {
			all.Go(func() {
				s, err := openSocket(config.Unix{Path: path})
				if err == nil {
					got[i] = s
				} else if !errors.Is(err, ErrInUse) {
					t.Errorf("%v", err)
				}
			})
		}
		all.Wait()
		n := 0
		for _, s := range got {
			if s != nil {
				n++
				require.NoError(t, s.Close())
			}
		}
		require.Equal(t, 1, n)
	}
}

// At no time may others open what is under the socket's name.
func TestSocketWindow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	ctx, cancel := context.WithCancel(t.Context())
	wrong := make(chan os.FileMode, 1)
	var watch sync.WaitGroup
	watch.Go(func() {
		for ctx.Err() == nil {
			if info, err := os.Lstat(path); err == nil && info.Mode().Perm() != 0o660 {
				select {
				case wrong <- info.Mode():
				default:
				}
			}
		}
	})
	for range 200 {
		require.NoError(t, open(t, config.Unix{Path: path}).Close())
	}
	cancel()
	watch.Wait()
	require.Empty(t, wrong)
}

func TestSocketDirectory(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	_, err := openSocket(config.Unix{Path: filepath.Join(dir, "s")})
	require.ErrorContains(t, err, "others could replace the socket")
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	open(t, config.Unix{Path: filepath.Join(dir, "s")})
}

// Both versions of HTTP are spoken on the socket, by who is told by the kernel.
func TestLocal(t *testing.T) {
	w := start(t, limits(), nil)
	who := Identity{Name: fmt.Sprintf("uid:%d", os.Getuid()), Role: config.RoleWrite}
	for name, options := range protocols {
		require.NoError(t, w.byUnix(t, true, options...).bulk(t, 1), name)
		require.Equal(t, who, w.service.who.Load())
		if name != "gRPC" {
			require.NoError(t, w.byUnix(t, false, options...).add(t, 1), name)
		}
	}
	w.logs.has(t, "level", "INFO", "procedure", addEndpoint, "client", who.Name, "role", "write", "code", "ok")
}

// Without TLS on loopback only, whatever the configuration was checked for.
func TestInsecure(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:0"} {
		_, err := New(Config{
			Listen: config.Listen{
				Unix: config.Unix{Path: filepath.Join(t.TempDir(), "s")},
				TCP:  []config.TCP{{Address: mustAddr(addr), Insecure: true, Role: config.RoleRead}},
			},
			RPC: limits(),
		}, http.NewServeMux(), slog.New(slog.DiscardHandler))
		require.ErrorIs(t, err, ErrInsecure, addr)
	}
	w := start(t, limits(), nil, config.TCP{Address: loopback(), Insecure: true, Role: config.RoleRead},
		config.TCP{Address: loopback(), Insecure: true, Role: config.RoleWrite})
	w.logs.has(t, "level", "WARN", "msg", "without TLS")
	reads := newCaller(t, &http.Transport{}, "http://"+w.tcp(0))
	require.NoError(t, reads.get(t))
	require.Error(t, reads.add(t, 1))
	writes := newCaller(t, &http.Transport{}, "http://"+w.tcp(1))
	require.NoError(t, writes.add(t, 1))
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Host = "attacker.example.org" },
		func(r *http.Request) { r.Host = "192.0.2.1" },
		func(r *http.Request) { r.Header.Set("Origin", "http://attacker.example.org") },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, writes.url+addEndpoint, strings.NewReader("{}"))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		change(r)
		res, err := writes.http.Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, 403, res.StatusCode)
	}
}

// What cannot be opened takes away what was.
func TestNewFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for _, c := range []config.TCP{
		{Address: mustAddr(l.Addr().String()), Insecure: true, Role: config.RoleRead},
		{Address: loopback(), Cert: "/nonexistent", Key: "/nonexistent", ClientCA: "/nonexistent"},
	} {
		_, err = New(Config{Listen: config.Listen{Unix: config.Unix{Path: path}, TCP: []config.TCP{c}}, RPC: limits()},
			http.NewServeMux(), slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "listen on 127.0.0.1")
		require.NoFileExists(t, path)
	}
}
