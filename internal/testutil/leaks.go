// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// leakTimeout is how long what ends by itself may take: goroutines, threads, deferred closes.
const leakTimeout = 5 * time.Second

// Leaks fails the test if, when it ends, the process holds more than it does now: descriptors,
// goroutines, threads in other network namespaces, mounts, interfaces, child processes. Call it first, so
// that it looks last. Tests that run in parallel confuse it.
func Leaks(t testing.TB) {
	t.Helper()
	before, err := holdings()
	if err != nil {
		t.Fatalf("look for leaks: %v", err)
	}
	t.Cleanup(func() {
		if err := before.compare(leakTimeout); err != nil {
			t.Errorf("left behind: %v", err)
		}
	})
}

// NoFiles fails the test if, when it ends, there are files that match one of the patterns: what Leaks cannot know to
// be the test's.
func NoFiles(t testing.TB, patterns ...string) {
	t.Helper()
	t.Cleanup(func() {
		for _, p := range patterns {
			left, err := filepath.Glob(p)
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %s: %v %v", p, left, err)
			}
		}
	})
}

// VerifyMain runs a package's tests, looks for leaks as [Leaks] does, and returns the status to exit
// with. What killed runs left mounted it removes first.
//
//	func TestMain(m *testing.M) { os.Exit(testutil.VerifyMain(m)) }
func VerifyMain(m *testing.M) int {
	sweep()
	before, err := holdings()
	if err != nil {
		fmt.Fprintln(os.Stderr, "look for leaks:", err)
		return 1
	}
	status := m.Run()
	if err := before.compare(leakTimeout); err != nil {
		fmt.Fprintln(os.Stderr, "left behind by the tests:", err)
		return max(status, 1)
	}
	return status
}

// held is what the process holds: kind and name of a thing → how many.
type held map[string]int

// compare waits until no more is held than before, and says what is.
func (before held) compare(timeout time.Duration) error {
	return poll(timeout, func() error {
		now, err := holdings()
		if err != nil {
			return err
		}
		var more []error
		for _, what := range slices.Sorted(maps.Keys(now)) {
			if extra := now[what] - before[what]; extra > 0 {
				more = append(more, fmt.Errorf("%d × %s", extra, what))
			}
		}
		return errors.Join(more...)
	})
}

func holdings() (held, error) {
	h := make(held)
	for _, count := range []func() error{h.descriptors, h.goroutines, h.namespaces, h.mounts, h.links, h.children} {
		if err := count(); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// descriptors counts files by what they refer to, without the numbers of sockets and pipes.
func (h held) descriptors() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // the one that read the directory
		}
		if err != nil {
			return err
		}
		// The runtime's own, opened when first needed and kept.
		switch filepath.Base(target) {
		case "anon_inode:[eventpoll]", "anon_inode:[eventfd]", "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us":
			continue
		}
		kind, _, _ := strings.Cut(target, ":[")
		h["descriptor of "+kind]++
	}
	return nil
}

// goroutines counts them by the function that they were started with.
func (h held) goroutines() error {
	buffer := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buffer, true)
		if n < len(buffer) {
			buffer = buffer[:n]
			break
		}
		buffer = make([]byte, 2*len(buffer))
	}
	for stack := range strings.SplitSeq(string(buffer), "\n\n") {
		if name := started(stack); name != "" {
			h["goroutine of "+name]++
		}
	}
	return nil
}

// started is the outermost function of a goroutine; empty for those of the runtime and of the testing
// package.
func started(stack string) string {
	lines := strings.Split(strings.TrimSpace(stack), "\n")
	var name string
	for _, line := range lines[1:] {
		if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "created by ") {
			continue
		}
		name, _, _ = strings.Cut(line, "(0x")
		name, _, _ = strings.Cut(name, "(...)")
	}
	for _, own := range []string{"testing.", "main.main", "runtime.", "os/signal.", "runtime/"} {
		if strings.HasPrefix(name, own) {
			return ""
		}
	}
	return strings.TrimSuffix(name, "()")
}

// namespaces counts threads that are in another network namespace than the process.
func (h held) namespaces() error {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		ns, err := os.Readlink(filepath.Join("/proc/self/task", task.Name(), "ns/net"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EACCES) {
			continue // the thread has ended, or is about to
		}
		if err != nil {
			return err
		}
		if ns != own {
			h["thread in another network namespace"]++
		}
	}
	return nil
}

// mounts counts those of [BPFFS] in this process.
func (h held) mounts() error {
	all, err := mounted()
	if err != nil {
		return err
	}
	for dir, pid := range all {
		if pid == os.Getpid() {
			h["mount at "+dir]++
		}
	}
	return nil
}

// linkPrefix begins the names of all interfaces that the library makes up. Others come and go by other
// hands.
const linkPrefix = "mz"

// links counts the library's interfaces in the process's own namespace, where no test should make any.
func (h held) links() error {
	all, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) { // others' changes do not concern us
		return err
	}
	for _, l := range all {
		if name := l.Attrs().Name; strings.HasPrefix(name, linkPrefix) {
			h["interface "+name]++
		}
	}
	return nil
}

// children finds child processes that nobody has waited for, and does not wait for them either.
func (h held) children() error {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err == nil {
		h["child process"]++
	} else if !errors.Is(err, unix.ECHILD) {
		return err
	}
	return nil
}
