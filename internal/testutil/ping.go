// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"net/netip"
	"testing"
	"time"

	"github.com/mizar-go/mizar/internal/netns"
)

// PingConfig says what to ping, and how.
type PingConfig struct {
	Src          netip.Addr    // zero: the kernel chooses
	Dst          netip.Addr    // with a zone if it is link-local
	Count        int           // requests to send; zero: until Stop
	Interval     time.Duration // between requests; zero: the next goes when one is answered or lost
	Timeout      time.Duration // until a request counts as lost; zero: one second
	Size         int           // bytes after the ICMP header; at least 16, which is also the default
	DontFragment bool          // never cut a request into fragments
}

// PingResult is what came of it.
type PingResult struct {
	Sent       int             // requests, also those that the kernel refused to send
	Lost       int             // not answered in time, refused by the kernel, or answered by an ICMP error
	Duplicates int             // answers to what had been answered, or given up, before
	RTTs       []time.Duration // of those answered, in the order of the answers
	Errors     []error         // the kernel's refusals, and an [*ICMPError] for each request that met one
}

// Ping sends echo requests one after the other, each when the one before is answered or lost.
func Ping(t testing.TB, ns *netns.Handle, src, dst netip.Addr, count int, timeout time.Duration) PingResult {
	t.Helper()
	return StartPing(t, ns, PingConfig{Src: src, Dst: dst, Count: count, Timeout: timeout}).Wait()
}
