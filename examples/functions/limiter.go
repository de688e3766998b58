// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/endpoint"
)

// Limiter gives endpoints token buckets, for stage send. It may be there for all of the host: who has no bucket is
// not limited.
type Limiter struct{ *dataplane.Function }

// NewLimiter loads it, without limits.
func NewLimiter(ctx context.Context, dp *dataplane.Dataplane, name string) (*Limiter, error) {
	spec, err := loadLimiter()
	if err != nil {
		return nil, err
	}
	f, err := dp.Function.Load(ctx, name, spec)
	if err != nil {
		return nil, err
	}
	return &Limiter{f}, nil
}

// minBurst is the largest packet: with segmentation offload it is not cut yet when it is counted.
const minBurst = 64<<10 + 256

// Limit lets an endpoint send so many bytes a second, of frames, after a burst of them. It takes the place of a limit
// that the endpoint has, at once. Its bucket is full then.
func (l *Limiter) Limit(ep *endpoint.Endpoint, rate, burst uint64) error {
	const most = 1 << 34 // times a billion, it is still a number of 64 bits
	switch {
	case rate == 0 || rate > most:
		return fmt.Errorf("limit %s: rate %d: not 1 to %d", ep.HostInterface, rate, uint64(most))
	case burst < minBurst || burst > most:
		return fmt.Errorf("limit %s: burst %d: not %d to %d", ep.HostInterface, burst, minBurst, uint64(most))
	}
	b := limiterBucket{Rate: rate, Burst: burst, Tokens: burst * 1e9}
	if err := l.Maps[limiterMapBuckets].Put(uint32(ep.Ifindex), b); err != nil {
		return fmt.Errorf("limit %s: %w", ep.HostInterface, err)
	}
	return nil
}

// Unlimit takes the limit away, if there is one. An interface's number may be another's later: call it for an endpoint
// that is deleted.
func (l *Limiter) Unlimit(ep *endpoint.Endpoint) error {
	err := l.Maps[limiterMapBuckets].Delete(uint32(ep.Ifindex))
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("unlimit %s: %w", ep.HostInterface, err)
	}
	return nil
}
