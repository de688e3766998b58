// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/maps"
)

// end is one of a veth pair, in the workload's namespace.
type end struct {
	ns   *netns.Handle // to be closed
	name string
	mac  net.HardwareAddr
	mtu  int // bytes
}

// otherEnd finds the other end of a veth of ours. Where its namespace is not given, and not our own, it is
// looked for.
func (m *Manager) otherEnd(dev *netlink.Veth, given NetNS) (_ *end, err error) {
	ns, err := m.beyond(dev, given)
	if err != nil {
		return nil, fmt.Errorf("other end of %s: %w", dev.Name, err)
	}
	e := &end{ns: ns}
	err = ns.Do(func() error {
		other, err := byIndex(dev.ParentIndex)
		if err != nil {
			return err
		}
		if other == nil || other.Attrs().ParentIndex != dev.Index {
			return fmt.Errorf("it is not there: %w", maps.ErrNotFound)
		}
		e.name, e.mac, e.mtu = other.Attrs().Name, other.Attrs().HardwareAddr, other.Attrs().MTU
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("other end of %s: %w", dev.Name, err), ns.Close())
	}
	return e, nil
}

// beyond is the namespace of the other end.
func (m *Manager) beyond(dev *netlink.Veth, given NetNS) (*netns.Handle, error) {
	if dev.NetNsID < 0 {
		return NetNS{}.open(m.netns)
	}
	if given.kind == ownNS {
		return search(dev.NetNsID)
	}
	ns, err := given.open(m.netns)
	if err != nil {
		return nil, err
	}
	id, err := netlink.GetNetNsIdByFd(ns.FD())
	if err == nil && id != dev.NetNsID {
		err = invalid("it is not in the namespace given (%s)", given)
	}
	if err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	return ns, nil
}

// search finds the namespace that has this number in the thread's own. The kernel tells numbers of
// namespaces, but not the other way round: it looks at those that are mounted, those of processes, and
// those that this process holds.
func search(id int) (*netns.Handle, error) {
	seen := make(map[string]bool)
	for _, candidates := range []func() ([]string, error){mounted, running} {
		paths, err := candidates()
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if ns := match(path, id, seen); ns != nil {
				return ns, nil
			}
		}
	}
	return nil, fmt.Errorf("no process or mount holds its namespace: %w", maps.ErrNotFound)
}

// match opens the namespace at a path if it is the one. What cannot be opened is not.
func match(path string, id int, seen map[string]bool) *netns.Handle {
	if name, err := os.Readlink(path); err == nil { // of processes; most share one
		if !strings.HasPrefix(name, "net:[") || seen[name] {
			return nil
		}
		seen[name] = true
	}
	ns, err := netns.FromPath(path)
	if err != nil {
		return nil
	}
	if now, err := netlink.GetNetNsIdByFd(ns.FD()); err == nil && now == id {
		return ns
	}
	ns.Close()
	return nil
}

// running are namespaces of processes, and those behind our own descriptors.
func running() ([]string, error) {
	var paths []string
	for _, pattern := range []string{"/proc/self/fd/[0-9]*", "/proc/[0-9]*/ns/net"} {
		some, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		paths = append(paths, some...)
	}
	return paths, nil
}

// mounted are namespaces that have a name in the file system.
func mounted() ([]string, error) {
	info, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	escapes := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var paths []string
	for line := range bytes.Lines(info) {
		fields := strings.Fields(string(line))
		if len(fields) > 4 && strings.HasPrefix(fields[3], "net:[") {
			paths = append(paths, escapes.Replace(fields[4]))
		}
	}
	return paths, nil
}
