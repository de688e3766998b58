// SPDX-License-Identifier: Apache-2.0

// Package snapshot describes, line by line, what there is on a host, for tests that take it that a call
// which failed, or was undone, has left everything as it was. It needs root, and holds nothing.
package snapshot

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// settleTimeout is for the kernel's work queues on a machine that has much else to do.
const settleTimeout = 20 * time.Second

// Network describes a namespace: interfaces with features, qdiscs, filters and programs; addresses,
// routes, rules, neighbours that somebody entered, and settings. It waits until the kernel has done what
// it does by itself after an interface went up. Left out is what comes and goes without anybody's doing:
// counts, neighbours that were resolved, duplicate detection of link-local addresses.
func Network(t testing.TB, ns *netns.Handle) (lines []string) {
	t.Helper()
	testutil.Eventually(t, settleTimeout, func() error { return ns.Do(settled) })
	testutil.In(t, ns, func() error {
		for _, describe := range []func() ([]string, error){
			links, addresses, routes, rules, neighbours, settings,
		} {
			more, err := describe()
			if err != nil {
				return err
			}
			slices.Sort(more)
			lines = append(lines, more...)
		}
		return nil
	})
	return lines
}

// settings are those of the thread's namespace that can be read.
func settings() (lines []string, err error) {
	const root = "/proc/sys/net"
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		// What nobody may write is a count.
		if info.Mode()&0o222 == 0 || info.Mode()&0o444 == 0 {
			return nil
		}
		value, err := os.ReadFile(path)
		if err != nil { // a secret that was never set
			value = []byte(err.Error())
		}
		lines = append(lines, fmt.Sprintf("setting %s = %s", strings.TrimPrefix(path, root+"/"), strings.TrimSpace(string(value))))
		return nil
	})
	return lines, err
}

// Pins are the files below a directory.
func Pins(t testing.TB, dir string) (lines []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil {
			lines = append(lines, fmt.Sprintf("pin %s %s", path, e.Type()))
		}
		return err
	}))
	return lines
}

// Rows are a table's. Of counts and events there are none, nor of epochs: each change is another, also one
// that is taken back.
func Rows(name string, m *ebpf.Map) (lines []string, err error) {
	if m.Type() == ebpf.PerCPUArray || m.Type() == ebpf.RingBuf || name == "epochs" {
		return nil, nil
	}
	var key, value []byte
	rows := m.Iterate()
	for rows.Next(&key, &value) {
		lines = append(lines, fmt.Sprintf("row %s %x: %x", name, key, value))
	}
	slices.Sort(lines)
	return lines, rows.Err()
}
