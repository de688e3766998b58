// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/journal"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
	"github.com/mizar-go/mizar/examples/transitd/internal/plumb"
	"github.com/mizar-go/mizar/maps"
)

// Options say which host.
type Options struct {
	Dataplane dataplane.Config
	StateDir  string       // where the journal is; never empty
	OVS       string       // the socket of ovsdb-server
	Logger    *slog.Logger // nil: nobody hears
}

// Host is a data-plane that this process has open, and what is wanted of it. All of it is safe for concurrent use.
type Host struct {
	dp      *dataplane.Dataplane
	plumber *plumb.Plumber
	ovs     *ovs.Client
	journal *journal.Journal
	log     *slog.Logger
	options Options
	started time.Time

	kinds  map[pb.Kind]kind // but endpoints of other hosts
	byName map[protoreflect.FullName]kind

	writer sync.Mutex    // over a write as a whole: to the journal, to the kernel, and below
	beat   atomic.Uint64 // how many changes, or steps of one, were made

	mu            sync.RWMutex // over what follows; writing takes writer, too
	asked         map[pb.Kind]map[string]proto.Message
	places        map[maps.EndpointKey]place
	foreignPlaces map[maps.EndpointKey]struct{} // there, and nobody asked for
	sum           uint64                        // of all that was asked for
	repairs       []*pb.Repair

	unrepaired map[name]string        // what could not be repaired, or put back, and why; over it is writer
	going      map[name]proto.Message // of that, what is to be removed; likewise
	strays     map[string]string      // ports without an endpoint that could not be removed, and why; likewise
	hurt       chan struct{}          // there is more of those

	problems problems
	events   broker
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// Open opens a host: reads what is wanted of it, opens its data-plane, and repairs what differs. What cannot be
// repaired is told by [Host.Health], and is no error.
func Open(ctx context.Context, o Options) (*Host, error) {
	h, before, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := h.repair(ctx, before); err != nil {
		return nil, errors.Join(fmt.Errorf("repair: %w", err), h.close())
	}
	pumping, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = stop
	h.done.Go(func() { h.pump(pumping) })
	h.done.Go(func() { h.heal(pumping) })
	h.done.Go(func() { h.keepWired(pumping) })
	return h, nil
}

// open changes nothing but that the data-plane is there.
func open(ctx context.Context, o Options) (_ *Host, before unsure, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Dataplane.Logger = o.Logger
	h := &Host{
		log: o.Logger, options: o, started: time.Now(),
		asked: make(map[pb.Kind]map[string]proto.Message), places: make(map[maps.EndpointKey]place),
		unrepaired: make(map[name]string), going: make(map[name]proto.Message), strays: make(map[string]string),
		hurt:          make(chan struct{}, 1),
		foreignPlaces: make(map[maps.EndpointKey]struct{}), events: broker{watchers: make(map[*Watcher]struct{})},
	}
	if h.dp, err = dataplane.Open(ctx, o.Dataplane); err != nil {
		return nil, before, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.dp.Close())
		}
	}()
	if err := h.openPlumber(); err != nil {
		return nil, before, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.plumber.Close(), h.ovs.Close())
		}
	}()
	h.addKinds()
	before, err = h.load()
	return h, before, err
}

// Close lets go of the host. Traffic goes on.
func (h *Host) Close() error {
	h.stop()
	h.done.Wait()
	h.writer.Lock()
	defer h.writer.Unlock()
	return h.close()
}

func (h *Host) close() error {
	return errors.Join(h.dp.Close(), h.journal.Close(), h.plumber.Close(), h.ovs.Close())
}

func (h *Host) openPlumber() (err error) {
	instance, o := h.dp.Name(), h.options
	if h.ovs, err = ovs.New(ovs.Options{Instance: instance, Socket: o.OVS, Logger: h.log}); err != nil {
		return err
	}
	h.plumber, err = plumb.New(plumb.Options{Instance: instance, NetNS: o.Dataplane.NetNS, OVS: h.ovs})
	if err != nil {
		return errors.Join(err, h.ovs.Close())
	}
	return nil
}

// Dataplane is the host's, for what only reads.
func (h *Host) Dataplane() *dataplane.Dataplane { return h.dp }

func (h *Host) addKinds() {
	h.kinds = make(map[pb.Kind]kind)
	h.byName = make(map[protoreflect.FullName]kind)
	for _, k := range []kind{
		peers(h.dp), droplets(h.dp, h.plumber), vpcs(h.dp), networks(h.dp), localEndpoints(h.dp, h.plumber), functions(h.dp),
		stages(h.dp), bridges(h.plumber), routes(h.plumber), addresses(h.plumber),
	} {
		h.kinds[k.id()] = k
		h.asked[k.id()] = make(map[string]proto.Message)
		h.byName[k.message()] = k
	}
}

func (h *Host) kindOf(m proto.Message) kind {
	return h.byName[m.ProtoReflect().Descriptor().FullName()]
}
