// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
)

// Protocol marks routes and addresses of the instance with the default name: `ip route show proto 109`. Others
// get one of 112 to 175, made of their name; nobody else is known to use those.
const Protocol = 109

// Options say where, and in whose name.
type Options struct {
	// Instance is the daemon's name, in the marks of what is ours: up to 32 letters, digits, - and _.
	Instance string
	// NetNS is the path of the network namespace to work in. Empty: the process's own.
	NetNS string
	// Protocol marks routes and addresses, 5 to 255. Zero: one that follows from Instance, see [Protocol]; two
	// names may give the same, and who has both on a host sets one here.
	Protocol uint8
	// OVS makes the ports of Open vSwitch bridges. It stays the caller's. Nil: there are none.
	OVS *ovs.Client
}

// Plumber sets up one network namespace. It is good for several goroutines, which wait for each other.
type Plumber struct {
	Options

	mu      sync.Mutex
	ns      netns.NsHandle // none: the process's own
	netlink *netlink.Handle
	raw     *nl.SocketHandle // for what package netlink does not know
	seed    []byte           // of MACs
	fail    func(step string) error
}

var instanceName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// New makes a plumber. It changes nothing.
func New(o Options) (_ *Plumber, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open plumbing: %w", explain(err))
		}
	}()
	if !instanceName.MatchString(o.Instance) {
		return nil, invalid("instance %q: 1 to 32 letters, digits, - and _", o.Instance)
	}
	if o.Protocol == 0 {
		o.Protocol = protocolOf(o.Instance)
	}
	if o.Protocol < 5 { // the kernel's own, and ip's
		return nil, invalid("protocol %d: not 5 to 255", o.Protocol)
	}
	p := &Plumber{Options: o, ns: netns.None()}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	path := "/proc/thread-self/ns/net"
	if o.NetNS != "" {
		path = o.NetNS
		if p.ns, err = netns.GetFromPath(path); err != nil {
			return nil, fmt.Errorf("namespace %s: %w", path, err)
		}
	}
	if p.seed, err = seed(o.Instance, path); err != nil {
		return nil, err
	}
	if p.netlink, err = netlink.NewHandleAt(p.ns, unix.NETLINK_ROUTE); err != nil {
		return nil, err
	}
	s, err := nl.GetNetlinkSocketAt(p.ns, netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	p.raw = &nl.SocketHandle{Socket: s}
	return p, nil
}

// Close lets go of the descriptors. What was made stays.
func (p *Plumber) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.netlink != nil {
		p.netlink.Close()
	}
	if p.raw != nil {
		p.raw.Close()
	}
	if p.ns.IsOpen() {
		return p.ns.Close()
	}
	return nil
}

func protocolOf(instance string) uint8 {
	if instance == dataplane.DefaultName {
		return Protocol
	}
	sum := sha256.Sum256([]byte(instance))
	return 112 + sum[0]%64
}

// seed tells this instance, in this namespace, since the host's boot, from all others: two hosts may have one
// and the same instance, and their bridges may meet.
func seed(instance, path string) ([]byte, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	var ns unix.Stat_t
	if err := unix.Stat(path, &ns); err != nil {
		return nil, fmt.Errorf("namespace %s: %w", path, err)
	}
	return fmt.Appendf(boot, "%d %s", ns.Ino, instance), nil
}

// in runs f in the namespace, for what goes by /proc/sys.
func (p *Plumber) in(f func() error) error {
	if !p.ns.IsOpen() {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		done <- p.away(f)
	}()
	return <-done
}

// away runs f in the namespace and comes back. Where there is no way back the goroutine keeps its thread, which
// ends with it.
func (p *Plumber) away(f func() error) (err error) {
	runtime.LockOSThread()
	here, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer here.Close()
	if err = netns.Set(p.ns); err == nil {
		err = f()
	}
	if back := netns.Set(here); back != nil {
		return errors.Join(err, fmt.Errorf("return from namespace: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

// link looks an interface up by its name proper, which is a key; an alternative name is none.
func (p *Plumber) link(name string) (netlink.Link, error) {
	if !interfaceName(name) {
		return nil, invalid("interface %q: no name for one", name)
	}
	l, err := p.netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, explain(err))
	}
	if now := l.Attrs().Name; now != name {
		return nil, invalid("interface %s: that is an alternative name of %s", name, now)
	}
	return l, nil
}

// find is link, and nil where there is none.
func (p *Plumber) find(name string) (netlink.Link, error) {
	l, err := p.link(name)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return l, err
}

// links lists all interfaces.
func (p *Plumber) links() ([]netlink.Link, error) {
	return whole(p.netlink.LinkList)
}

// names are those of all interfaces, by their numbers.
func (p *Plumber) names() (map[int]string, error) {
	links, err := p.links()
	if err != nil {
		return nil, err
	}
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	return names, nil
}

// whole reads a list again while others' changes cut it.
func whole[T any](list func() ([]T, error)) (all []T, err error) {
	for range 10 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

// on does something to an interface, by its name at that time.
func (p *Plumber) on(name string, f func(netlink.Link) error) func() error {
	return func() error {
		l, err := p.link(name)
		if err != nil {
			return err
		}
		return f(l)
	}
}

// remove deletes an interface, if it is there.
func (p *Plumber) remove(name string) error {
	l, err := p.find(name)
	if err != nil || l == nil {
		return err
	}
	if err := p.netlink.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete interface %s: %w", name, err)
	}
	return nil
}

// list is how lists are read: each under the lock, each with its name in errors.
func list[T any](p *Plumber, ctx context.Context, what string, read func() ([]T, error)) ([]T, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all, err := read()
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", what, explain(err))
	}
	return all, nil
}

// interfaceName tells whether the kernel takes a name, as it is: % would make a pattern of it.
func interfaceName(s string) bool {
	if s == "" || len(s) > 15 || s == "." || s == ".." || s == "all" || s == "default" {
		return false
	}
	for _, b := range []byte(s) {
		if b <= ' ' || b >= 0x7f || b == '/' || b == ':' || b == '%' {
			return false
		}
	}
	return true
}
