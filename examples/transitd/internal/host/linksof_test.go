// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/examples/transitd/internal/ovs/ovstest"
)

// linksOf is what there is to see of a namespace's interfaces as ports, without numbers that are made anew.
func linksOf(t *testing.T, ns namespace) (all []string) {
	t.Helper()
	names := make(map[int]string)
	err := ns.Do(func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			names[l.Attrs().Index] = l.Attrs().Name
		}
		for _, l := range links {
			a := l.Attrs()
			if strings.HasPrefix(a.Name, "mzf") {
				continue // the data-plane's own, as long as there is one
			}
			s := fmt.Sprintf("port %s: a %s %q at %q, up %v, ARP %v", a.Name, l.Type(), a.Alias, names[a.MasterIndex], a.Flags&net.FlagUp != 0, a.RawFlags&unix.IFF_NOARP == 0)
			for _, n := range a.AltNames {
				s += ", also " + strings.TrimSuffix(n, fmt.Sprintf(".%d", a.Index))
			}
			if m := names[a.MasterIndex]; m != "" {
				if info, err := netlink.LinkGetProtinfo(l); err == nil {
					s += fmt.Sprintf(", learning %v, isolated %v", info.Learning, info.Isolated)
				}
			}
			if strings.HasPrefix(a.Alias, "transitd:") {
				raw, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + a.Name + "/disable_ipv6")
				s += fmt.Sprintf(", IPv6 off %s %v, GRO %d", strings.TrimSpace(string(raw)), err, a.GROMaxSize)
			}
			all = append(all, s)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// switchOf is what there is to see of Open vSwitch: rows, flows, and where floods do not get.
func switchOf(sw *ovstest.Switch, bridges ...string) (all []string) {
	for _, columns := range [][]string{{"port", "name,tag,external_ids"}, {"interface", "name,type,external_ids,error"}} {
		for line := range strings.Lines(sw.Vsctl("--format=csv", "--no-headings", "--columns="+columns[1], "list", columns[0])) {
			all = append(all, "switch "+columns[0]+" "+strings.TrimSpace(line))
		}
	}
	for _, bridge := range bridges {
		all = append(all, "switch "+bridge+" has "+strings.Join(strings.Fields(sw.Vsctl("list-ports", bridge)), " "))
		for line := range strings.Lines(sw.Ofctl("dump-flows", bridge, "--no-stats", "--names")) {
			all = append(all, "switch "+bridge+" flow "+strings.TrimSpace(line))
		}
		name := ""
		for line := range strings.Lines(sw.Ofctl("dump-ports-desc", bridge, "-OOpenFlow10")) {
			if m := describedPort.FindStringSubmatch(line); m != nil {
				name = m[1]
			} else if strings.Contains(line, "NO_FLOOD") {
				all = append(all, "switch "+bridge+" does not flood "+name)
			}
		}
	}
	slices.Sort(all)
	return all
}

var describedPort = regexp.MustCompile(`^ *\w+\(([^)]*)\): addr:`)

func setMAC(t *testing.T, ns namespace, name, mac string) {
	t.Helper()
	err := ns.Do(func() error {
		l, err := netlink.LinkByName(name)
		to, err2 := net.ParseMAC(mac)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		return netlink.LinkSetHardwareAddr(l, to)
	})
	if err != nil {
		t.Fatal(err)
	}
}
