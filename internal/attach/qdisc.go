// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
)

// NeedsClsact tells whether attaching to a tcx hook of the interface will give it a clsact qdisc, for
// [DetachClsact] to take away again.
func NeedsClsact(ifindex int) (bool, error) {
	return probe().needsClsact(ifindex)
}

func (k kernel) needsClsact(ifindex int) (bool, error) {
	if k.tcx {
		return false, nil
	}
	dev, err := device(ifindex)
	if err != nil {
		return false, err
	}
	there, err := ingressQdisc(dev)
	return there == nil, err
}

// ingressQdisc is the device's clsact, or the older ingress, which also serves; nil if it has none.
func ingressQdisc(dev netlink.Link) (netlink.Qdisc, error) {
	all, err := netlink.QdiscList(dev)
	if err != nil {
		return nil, fmt.Errorf("list qdiscs of %s: %w", dev.Attrs().Name, explain(err))
	}
	for _, q := range all {
		if q.Attrs().Parent == netlink.HANDLE_CLSACT {
			return q, nil
		}
	}
	return nil, nil
}

// addClsact gives an interface the qdisc, and tells whether it had none.
func addClsact(ifindex int) (bool, error) {
	err := netlink.QdiscAdd(clsact(ifindex))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EEXIST):
		return false, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP):
		return false, fmt.Errorf("add clsact qdisc: %w: neither tcx (kernel 6.6) nor clsact: %w", bpf.ErrNotSupported, err)
	}
	return false, fmt.Errorf("add clsact qdisc: %w", explain(err))
}

func clsact(ifindex int) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ifindex,
		Handle:    netlink.MakeHandle(0xffff, 0),
		Parent:    netlink.HANDLE_CLSACT,
	}}
}

// DetachClsact takes the clsact qdisc off an interface, unless somebody has filters there. That there is
// none, or no interface, is fine. It is for callers who know that the qdisc was made for them.
func DetachClsact(ifindex int) error {
	dev, err := device(ifindex)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	q, err := ingressQdisc(dev)
	if err != nil {
		return err
	}
	if q == nil || q.Type() != "clsact" {
		return nil
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := netlink.FilterList(dev, parent)
		if err != nil {
			return fmt.Errorf("list filters of %s: %w", dev.Attrs().Name, explain(err))
		}
		if len(filters) != 0 {
			return nil
		}
	}
	err = netlink.QdiscDel(clsact(ifindex))
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove clsact qdisc of %s: %w", dev.Attrs().Name, explain(err))
	}
	return nil
}
