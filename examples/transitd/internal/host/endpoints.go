// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strings"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

// place is what is kept of an endpoint of another host: there may be a million.
type place struct {
	host   netip.Addr
	mac    [6]byte
	cookie uint64
}

func placeOf(row maps.Endpoint) place {
	p := place{host: row.Host, cookie: row.Cookie}
	copy(p.mac[:], row.MAC)
	return p
}

func (p place) row(key maps.EndpointKey) maps.Endpoint {
	row := maps.Endpoint{VNI: key.VNI, Addr: key.Addr, Host: p.host, Cookie: p.cookie}
	if p.mac != [6]byte{} {
		row.MAC = net.HardwareAddr(p.mac[:])
	}
	return row
}

// sum is what etags are made of.
func (p place) sum(key maps.EndpointKey) uint64 {
	h := fnv.New64a()
	addr, host := key.Addr.As16(), p.host.As16()
	var b [60]byte
	n := copy(b[:], addr[:])
	n += copy(b[n:], host[:])
	n += copy(b[n:], p.mac[:])
	for i := range 8 {
		b[n] = byte(p.cookie >> (8 * i))
		n++
	}
	for i := range 4 {
		b[n] = byte(key.VNI >> (8 * i))
		n++
	}
	h.Write(b[:n])
	return h.Sum64()
}

// toEndpoint reads an endpoint of another host.
func toEndpoint(e *pb.Endpoint) (maps.EndpointKey, place, error) {
	if e == nil {
		return maps.EndpointKey{}, place{}, wrong("endpoint", "it is not given")
	}
	var r reader
	r.vni("vni", e.Vni)
	address, host, mac := e.Address, e.Host, e.Mac
	key := maps.EndpointKey{VNI: e.Vni, Addr: r.addr("address", &address)}
	if host == "" {
		r.fail(wrong("host", "it is not given: an endpoint of this host is created, not added"))
	}
	p := place{host: r.optional("host", &host), cookie: e.Cookie}
	copy(p.mac[:], r.mac("mac", &mac))
	return key, p, r.err
}

func fromEndpoint(row maps.Endpoint) *pb.Endpoint {
	m := &pb.Endpoint{Vni: row.VNI, Address: row.Addr.String(), Host: text(row.Host), Cookie: row.Cookie}
	if len(row.MAC) > 0 {
		m.Mac = row.MAC.String()
	}
	return m
}

// Endpoint is where an address lives.
func (h *Host) Endpoint(ctx context.Context, key *pb.EndpointKey) (*pb.Endpoint, error) {
	k, err := addressKey(key)
	if err != nil {
		return nil, &Error{Kind: pb.Kind_KIND_ENDPOINT, Field: fieldOf(err), Err: err}
	}
	row, err := h.dp.Endpoint.Get(ctx, k)
	if err != nil {
		return nil, &Error{Kind: pb.Kind_KIND_ENDPOINT, Key: k.String(), Err: err}
	}
	m := fromEndpoint(row)
	if row.Host.IsValid() {
		m.Etag = etag(placeOf(row).sum(k))
	}
	return m, nil
}

// wish is an endpoint of another host that a client wants.
type wish struct {
	key   maps.EndpointKey
	place place
	had   place // what it replaces
	there bool  // it replaces something
}

// Written is what became of endpoints.
type Written struct{ Added, Replaced, Unchanged int }

// Outcome is of one, or of most.
func (w Written) Outcome() pb.Outcome {
	switch {
	case w.Added > 0:
		return pb.Outcome_OUTCOME_ADDED
	case w.Replaced > 0:
		return pb.Outcome_OUTCOME_REPLACED
	}
	return pb.Outcome_OUTCOME_UNCHANGED
}

// AddEndpoints writes all of the endpoints, or none: one that is wrong or may not be replaced is found before.
// overwrite counts as "*" for those without an etag.
func (h *Host) AddEndpoints(ctx context.Context, all []*pb.Endpoint, overwrite bool, by string) (w Written, err error) {
	type sent struct {
		wish
		etag string
	}
	wishes := make([]sent, 0, len(all))
	twice := make(map[maps.EndpointKey]struct{}, len(all))
	for i, e := range all {
		key, p, err := toEndpoint(e)
		if err != nil {
			field := fieldOf(err)
			if len(all) > 1 {
				field = fmt.Sprintf("endpoints[%d].%s", i, field)
			}
			return Written{}, &Error{Kind: pb.Kind_KIND_ENDPOINT, Field: field, Err: err}
		}
		if _, is := twice[key]; is {
			field := fmt.Sprintf("endpoints[%d]", i)
			return Written{}, &Error{Kind: pb.Kind_KIND_ENDPOINT, Key: key.String(), Field: field, Err: wrong(field, "it is there twice")}
		}
		twice[key] = struct{}{}
		s := sent{wish: wish{key: key, place: p}, etag: e.Etag}
		if s.etag == "" && overwrite {
			s.etag = anyEtag
		}
		wishes = append(wishes, s)
	}
	h.writer.Lock()
	defer h.writer.Unlock()
	todo := make([]wish, 0, len(wishes))
	here := addressesOf(h.asked[pb.Kind_KIND_LOCAL_ENDPOINT]) // the writer reads
	for _, s := range wishes {
		if local, is := here[s.key]; is {
			return Written{}, &Error{Kind: pb.Kind_KIND_ENDPOINT, Key: s.key.String(), Err: livesHere(s.key.Addr.String(), local)}
		}
		there, own, err := h.placeAt(ctx, s.key)
		if err != nil {
			return Written{}, err
		}
		var current string
		if there != nil {
			s.had, s.there = *there, true
			current = etag(there.sum(s.key))
		}
		same := there != nil && *there == s.place
		if err := judge(s.etag, current, same); err != nil {
			return Written{}, &Error{Kind: pb.Kind_KIND_ENDPOINT, Key: s.key.String(), Etag: current, Err: err}
		}
		if same && own {
			w.Unchanged++
			continue
		}
		if s.there {
			w.Replaced++
		} else {
			w.Added++
		}
		todo = append(todo, s.wish)
	}
	if len(todo) == 0 {
		return w, nil
	}
	c := newChange()
	for _, w := range todo {
		c.putPlaces[w.key] = w.place
	}
	err = h.commit(ctx, c, func(ctx context.Context) error { return h.putPlaces(ctx, todo) })
	if err != nil {
		return Written{}, err
	}
	h.changed(pb.Kind_KIND_ENDPOINT, bulkKey(todo), w.Outcome(), len(todo), by)
	return w, nil
}

// RemoveEndpoints forgets endpoints of other hosts; those that are not there are skipped.
func (h *Host) RemoveEndpoints(ctx context.Context, keys []*pb.EndpointKey, by string) (removed, missing int, err error) {
	var want []maps.EndpointKey
	for i, k := range keys {
		key, err := addressKey(k)
		if err != nil {
			return 0, 0, &Error{Kind: pb.Kind_KIND_ENDPOINT, Field: fmt.Sprintf("keys[%d].%s", i, strings.TrimPrefix(fieldOf(err), "key.")), Err: err}
		}
		want = append(want, key)
	}
	h.writer.Lock()
	defer h.writer.Unlock()
	var gone []wish
	seen := make(map[maps.EndpointKey]bool, len(want))
	for _, key := range want {
		there, _, err := h.placeAt(ctx, key)
		if err != nil {
			return 0, 0, err
		}
		if there == nil || seen[key] {
			missing++
			continue
		}
		seen[key] = true
		gone = append(gone, wish{key: key, had: *there, there: true})
	}
	return len(gone), missing, h.forget(ctx, gone, by)
}

// RemoveEndpoint forgets one.
func (h *Host) RemoveEndpoint(ctx context.Context, key *pb.EndpointKey, given string, allowMissing bool, by string) (pb.Outcome, error) {
	k, err := addressKey(key)
	if err != nil {
		return 0, &Error{Kind: pb.Kind_KIND_ENDPOINT, Field: fieldOf(err), Err: err}
	}
	h.writer.Lock()
	defer h.writer.Unlock()
	there, _, err := h.placeAt(ctx, k)
	switch {
	case err != nil:
		return 0, err
	case there == nil && allowMissing:
		return pb.Outcome_OUTCOME_UNCHANGED, nil
	case there == nil:
		return 0, &Error{Kind: pb.Kind_KIND_ENDPOINT, Key: k.String(), Err: dataplane.ErrNotFound}
	}
	if current := etag(there.sum(k)); stale(given, current) {
		return 0, &Error{Kind: pb.Kind_KIND_ENDPOINT, Key: k.String(), Etag: current, Err: ErrEtag}
	}
	return pb.Outcome_OUTCOME_REMOVED, h.forget(ctx, []wish{{key: k, had: *there, there: true}}, by)
}

func (h *Host) forget(ctx context.Context, gone []wish, by string) error {
	if len(gone) == 0 {
		return nil
	}
	c := newChange()
	for _, w := range gone {
		c.gonePlaces[w.key] = struct{}{}
	}
	if err := h.commit(ctx, c, func(ctx context.Context) error { return h.removePlaces(ctx, gone) }); err != nil {
		return err
	}
	h.changed(pb.Kind_KIND_ENDPOINT, bulkKey(gone), pb.Outcome_OUTCOME_REMOVED, len(gone), by)
	return nil
}

// placeAt is what is there of an endpoint of another host; nil: nothing. While nothing is foreign, it takes no system
// call.
func (h *Host) placeAt(ctx context.Context, key maps.EndpointKey) (there *place, own bool, err error) {
	h.mu.RLock()
	p, ok := h.places[key]
	_, foreign := h.foreignPlaces[key]
	h.mu.RUnlock()
	if ok {
		return &p, true, nil
	}
	if !foreign {
		return nil, false, nil
	}
	row, err := h.dp.Endpoint.Get(ctx, key)
	if errors.Is(err, dataplane.ErrNotFound) || err == nil && !row.Host.IsValid() {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, &Error{Kind: pb.Kind_KIND_ENDPOINT, Key: key.String(), Err: err}
	}
	p = placeOf(row)
	return &p, false, nil
}

// putPlaces writes rows to the kernel, all or none.
func (h *Host) putPlaces(ctx context.Context, put []wish) error {
	rows := make([]maps.Endpoint, len(put))
	for i, w := range put {
		rows[i] = w.place.row(w.key)
	}
	if err := h.dp.Endpoint.AddAll(ctx, rows); err != nil {
		return errors.Join(placesError(put, err), h.restorePlaces(ctx, put))
	}
	return nil
}

// removePlaces removes rows from the kernel, all or none.
func (h *Host) removePlaces(ctx context.Context, gone []wish) error {
	keys := make([]maps.EndpointKey, len(gone))
	for i, w := range gone {
		keys[i] = w.key
	}
	if err := h.dp.Endpoint.RemoveAll(ctx, keys); err != nil && !errors.Is(err, dataplane.ErrNotFound) {
		return errors.Join(placesError(gone, err), h.restorePlaces(ctx, gone))
	}
	return nil
}

// restorePlaces puts back what was there.
func (h *Host) restorePlaces(ctx context.Context, all []wish) error {
	var rows []maps.Endpoint
	var keys []maps.EndpointKey
	for _, w := range all {
		if w.there {
			rows = append(rows, w.had.row(w.key))
		} else {
			keys = append(keys, w.key)
		}
	}
	err := h.dp.Endpoint.AddAll(ctx, rows)
	if len(keys) > 0 {
		if gone := h.dp.Endpoint.RemoveAll(ctx, keys); !errors.Is(gone, dataplane.ErrNotFound) && !errors.Is(gone, dataplane.ErrExists) {
			err = errors.Join(err, gone)
		}
	}
	if err != nil {
		return fmt.Errorf("put back what was there: %w", err)
	}
	return nil
}

func placesError(all []wish, err error) error {
	return &Error{Kind: pb.Kind_KIND_ENDPOINT, Key: bulkKey(all), Err: err}
}

// bulkKey is the key of a single one.
func bulkKey(all []wish) string {
	if len(all) == 1 {
		return all[0].key.String()
	}
	return ""
}
