// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
	"github.com/mizar-go/mizar/internal/testutil"
)

// An Open vSwitch whose socket is not for us, as it is another user's and we have no capability to pass over that, is in
// the way of its own ports only.
func TestClosedSocket(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	require.NoError(t, errors.Join(os.Chmod(dir, 0o700), os.Chown(dir, 65534, 65534)))
	l, err := net.Listen("unix", filepath.Join(dir, "db.sock"))
	require.NoError(t, err)
	defer l.Close()
	client, err := ovs.New(ovs.Options{Instance: "blue", Socket: filepath.Join(dir, "db.sock")})
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	p := plumber(t, r.ns, "blue", client)
	r.bridge(Added, Bridge{Name: "br0"})

	look := func() {
		_, err = p.Ports(t.Context())
		require.NoError(t, err)
		_, err = p.AddPort(t.Context(), Port{HostInterface: "ep", Bridge: "br0"})
		require.NoError(t, err)
		ports, err := p.Ports(t.Context())
		require.NoError(t, err)
		require.Len(t, ports, 1)
		require.True(t, ports[0].Whole)
		require.NoError(t, p.CheckNoPort(t.Context(), "ep"))
		require.NoError(t, p.RemovePort(t.Context(), "ep"))
		_, err = p.AddPort(t.Context(), Port{HostInterface: "ep", OVS: &OVSPort{Bridge: "ovs0"}})
		require.ErrorIs(t, err, dataplane.ErrPermission)
	}
	testutil.Without(t, unix.CAP_DAC_OVERRIDE, func() { testutil.Without(t, unix.CAP_DAC_READ_SEARCH, look) })
}
