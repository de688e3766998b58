// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
)

// Config is the file. What it does not say is as [Default] has it.
type Config struct {
	// Name is the instance's, as dataplane.Config.Name.
	Name string `yaml:"name"`
	// BPFFS is where the instance is pinned.
	BPFFS string `yaml:"bpffs"`
	// Limits size the tables when they are made. Zero: the library's.
	Limits bpf.Limits `yaml:"limits"`
	// Port is the UDP port of Geneve. Zero: as it is, or the library's.
	Port uint16 `yaml:"port"`
	// DirectAge is how long a learned host counts. Zero: as it is, or the library's.
	DirectAge time.Duration `yaml:"directAge"`
	// PathAge is how long a learned path MTU counts. Zero: as it is, or the library's.
	PathAge time.Duration `yaml:"pathAge"`
	// EventsPerSecond bounds the drops that are reported, for each CPU. Zero: as it is, or the library's;
	// negative: none.
	EventsPerSecond int `yaml:"eventsPerSecond"`
	// StateDir is where the last applied state is kept.
	StateDir string `yaml:"stateDir"`
	// Drain is how long calls that run at SIGTERM may take to their end.
	Drain time.Duration `yaml:"drain"`

	Listen  Listen  `yaml:"listen"`
	RPC     RPC     `yaml:"rpc"`
	Metrics Metrics `yaml:"metrics"`
	OVS     OVS     `yaml:"ovs"`
	Log     Log     `yaml:"log"`
}

// Listen says where calls come in.
type Listen struct {
	Unix Unix  `yaml:"unix"`
	TCP  []TCP `yaml:"tcp"`
}

// Unix is the socket for clients on this host. Whoever may open it may write.
type Unix struct {
	// Path is the socket's, whose mode is 0660.
	Path string `yaml:"path"`
	// Group is the name or number of the group that may open it, beside root. Empty: that of the process.
	Group string `yaml:"group"`
}

// TCP is a socket for clients elsewhere, with mutual TLS.
type TCP struct {
	// Address has an IP address, not a name, and a port.
	Address netip.AddrPort `yaml:"address"`
	// Cert is the file of the daemon's certificate, and of those between it and its CA; in PEM.
	Cert string `yaml:"cert"`
	// Key is the file of the certificate's key, in PEM.
	Key string `yaml:"key"`
	// ClientCA is the file of the CAs whose certificates clients may show, in PEM.
	ClientCA string `yaml:"clientCA"`
	// Roles says which client may do what. One that is not in it may do nothing.
	Roles []Mapping `yaml:"roles"`
	// Insecure does without TLS, and without knowing the client. Only on a loopback address.
	Insecure bool `yaml:"insecure"`
	// Role is every client's where Insecure is set. Zero: read.
	Role Role `yaml:"role"`
}

// Mapping gives a client a role.
type Mapping struct {
	// Identity is a name in the client's certificate, with its kind before it: uri:spiffe://example.org/op,
	// dns:op.example.org, cn:op. It is compared letter by letter.
	Identity string `yaml:"identity"`
	// Role is what it may do.
	Role Role `yaml:"role"`
}

// RPC bounds what clients may ask for.
type RPC struct {
	// MaxMessageBytes bounds a message, also after it is unpacked.
	MaxMessageBytes Bytes `yaml:"maxMessageBytes"`
	// CallsPerSecond bounds what one client may call.
	CallsPerSecond int `yaml:"callsPerSecond"`
	// Burst is how many calls may come at once. Zero: CallsPerSecond.
	Burst int `yaml:"burst"`
	// MaxStreams bounds the calls at a time on one HTTP/2 connection, and twice as many those of one client on all.
	MaxStreams int `yaml:"maxStreams"`
	// MaxConnections bounds the connections of each listener.
	MaxConnections int `yaml:"maxConnections"`
}

// Metrics is where Prometheus finds them.
type Metrics struct {
	// Address has an IP address and a port. Zero, in the file "": nowhere.
	Address netip.AddrPort `yaml:"address"`
}

// OVS is the host's Open vSwitch.
type OVS struct {
	// Socket is that of ovsdb-server.
	Socket string `yaml:"socket"`
}

// Log says what is told, and how.
type Log struct {
	// Level is the least that is told: debug, info, warn, error.
	Level slog.Level `yaml:"level"`
	// Format is text or json.
	Format string `yaml:"format"`
}

// Formats of a log.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		Name:     dataplane.DefaultName,
		BPFFS:    dataplane.DefaultBPFFS,
		StateDir: stateDir(),
		Drain:    10 * time.Second,
		Listen:   Listen{Unix: Unix{Path: "/run/transitd/transitd.sock"}},
		RPC: RPC{
			MaxMessageBytes: 64 << 20,
			CallsPerSecond:  1000,
			MaxStreams:      100,
			MaxConnections:  256,
		},
		Metrics: Metrics{Address: netip.MustParseAddrPort("127.0.0.1:9464")},
		OVS:     OVS{Socket: "/run/openvswitch/db.sock"},
		Log:     Log{Level: slog.LevelInfo, Format: FormatText},
	}
}

// stateDir is where systemd says, which may name several.
func stateDir() string {
	if first, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); first != "" {
		return first
	}
	return "/var/lib/transitd"
}
