// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// testReaders: who reads what was asked for does so while others compare it, and write it. The race detector looks on.
func testReaders(t *testing.T, w *world) {
	one, _ := named(t, "one")
	s := full(t, one)
	s.Routes = []*pb.Route{{Destination: "203.0.113.0/24", Via: "192.0.2.2"}}
	s.Bridges = []*pb.Bridge{{Name: "br0", Ports: []string{"p2", "p1"}}}
	s.Addresses = []*pb.Address{{Interface: "eth0", Address: "198.51.100.1/32"}}
	s.LocalEndpoints[0].Allowed = []string{"10.7.0.0/16", "10.6.0.0/16"}
	s.LocalEndpoints[0].Mac = "02:00:00:00:00:AA"
	s.Vpcs[0].Dividers = []string{"192.0.2.3", "192.0.2.2"}
	w.apply(t, s)
	var done sync.WaitGroup
	for _, call := range []func() error{
		func() error {
			for _, err := range w.h.State(t.Context(), nil, false, 100) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		func() error {
			_, err := w.h.FindLocal(t.Context(), &pb.EndpointKey{Vni: 7, Address: "10.0.0.1"}, "")
			return err
		},
		func() error {
			_, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: s, DryRun: true}, "test")
			return err
		},
		func() error {
			w.h.problems.forget()
			r, err := w.h.Health(t.Context())
			if err == nil && len(r.Problems) > 0 {
				return fmt.Errorf("%v", r.Problems)
			}
			return err
		},
		func() error {
			_, _, err := w.h.Put(t.Context(), with(s.Routes[0], "*"), "test")
			return err
		},
	} {
		done.Go(func() {
			for range 20 {
				if err := call(); !assert.NoError(t, err) {
					return
				}
			}
		})
	}
	done.Wait()
}
