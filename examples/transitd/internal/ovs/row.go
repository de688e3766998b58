// SPDX-License-Identifier: Apache-2.0

package ovs

import "maps"

// Keys among the external_ids of our ports.
const (
	idInstance = "transitd"
	idWorkload = "transitd-workload" // the port that it is wired to
	idHost     = "transitd-host"     // Port.Host
	idFlood    = "transitd-flood"    // the workload's port that we keep floods from
)

// ids are the external_ids of a port: what others wrote there stays.
func (c *Client) ids(p Port, now map[string]string) map[string]string {
	ids := make(map[string]string)
	maps.Copy(ids, now)
	ids[idInstance] = c.Instance
	for key, value := range map[string]string{idWorkload: p.Workload, idHost: p.Host} {
		if value == "" {
			delete(ids, key)
		} else {
			ids[key] = value
		}
	}
	return ids
}

func tag(n uint16) *int {
	if n == 0 {
		return nil
	}
	i := int(n)
	return &i
}

// same tells whether two rows of one port are alike, in what we write.
func same(a, b *portRow) bool {
	return maps.Equal(a.ExternalIDs, b.ExternalIDs) && (a.Tag == nil) == (b.Tag == nil) && (a.Tag == nil || *a.Tag == *b.Tag)
}
