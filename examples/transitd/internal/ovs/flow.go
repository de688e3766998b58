// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// priority of our flows: above what a bridge has for all its ports.
const priority = 65000

// anyPort masks the part of a cookie that is the instance's.
const anyPort = uint64(0xffffffff) << 32

// cookie marks the flows of one port of ours.
func (c *Client) cookie(port string) uint64 {
	instance := sha256.Sum256([]byte(idInstance + ":" + c.Instance))
	name := sha256.Sum256([]byte(port))
	return uint64(binary.BigEndian.Uint32(instance[:]))<<32 | uint64(binary.BigEndian.Uint32(name[:]))
}

// ofctl runs ovs-ofctl on a bridge's management socket.
func (c *Client) ofctl(ctx context.Context, command, bridge string, args ...string) (string, error) {
	target := "unix:" + c.management(bridge)
	// OpenFlow 1.0: later versions cannot keep floods from a port. The rest is by its Nicira extension.
	args = append([]string{"--timeout=10", "-O", "OpenFlow10", command, target}, args...)
	cmd := exec.CommandContext(ctx, "ovs-ofctl", args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.WaitDelay = time.Second
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(problem.String()), "\n")
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", fmt.Errorf("ovs-ofctl %s %s: %w: %s", command, bridge, unavailable(err), said)
	}
	return out.String(), nil
}

// flows are those of our ports at a bridge, by cookie, as ovs-ofctl writes them without one.
func (c *Client) flows(ctx context.Context, bridge string) (map[uint64]map[string]bool, error) {
	out, err := c.ofctl(ctx, "dump-flows", bridge, "--no-stats", "--no-names", fmt.Sprintf("cookie=%#x/%#x", c.cookie(""), anyPort))
	if err != nil {
		return nil, err
	}
	flows := make(map[uint64]map[string]bool)
	for line := range strings.Lines(out) {
		m := flowLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		cookie, err := strconv.ParseUint(m[1], 0, 64)
		if err != nil {
			return nil, fmt.Errorf("read flows of bridge %s: %w", bridge, err)
		}
		if flows[cookie] == nil {
			flows[cookie] = make(map[string]bool)
		}
		flows[cookie][m[2]] = true
	}
	return flows, nil
}

var flowLine = regexp.MustCompile(`^ *cookie=(0x[0-9a-f]+), (.*\S)`)

func (c *Client) addFlow(ctx context.Context, bridge string, cookie uint64, flow string) error {
	_, err := c.ofctl(ctx, "add-flow", bridge, fmt.Sprintf("cookie=%#x, %s", cookie, strings.Replace(flow, " actions", ", actions", 1)))
	return err
}

func (c *Client) deleteFlows(ctx context.Context, bridge string, cookie uint64) error {
	_, err := c.ofctl(ctx, "del-flows", bridge, fmt.Sprintf("cookie=%#x/-1", cookie))
	return err
}

// flowPort is a port as the switch knows it.
type flowPort struct {
	number  string
	noFlood bool // what the bridge floods does not get there
}

var portLine = regexp.MustCompile(`^ *([0-9]+)\(([^)]*)\): addr:`)

// flowPorts asks the switch itself: what OVSDB says of port numbers is of before a restart.
func (c *Client) flowPorts(ctx context.Context, bridge string) (map[string]flowPort, error) {
	out, err := c.ofctl(ctx, "dump-ports-desc", bridge)
	if err != nil {
		return nil, err
	}
	ports := make(map[string]flowPort)
	var name string
	for line := range strings.Lines(out) {
		if m := portLine.FindStringSubmatch(line); m != nil {
			name = m[2]
			ports[name] = flowPort{number: m[1]}
		} else if config, ok := strings.CutPrefix(strings.TrimSpace(line), "config:"); ok && name != "" {
			p := ports[name]
			p.noFlood = strings.Contains(config, "NO_FLOOD")
			ports[name] = p
		} else if strings.Contains(line, "addr:") {
			name = "" // LOCAL
		}
	}
	return ports, nil
}

// flood has a port get what the bridge floods, or not.
func (c *Client) flood(ctx context.Context, bridge string, p flowPort, on bool) error {
	how := "no-flood"
	if on {
		how = "flood"
	}
	_, err := c.ofctl(ctx, "mod-port", bridge, p.number, how)
	return err
}
