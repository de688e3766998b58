// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/mizar-go/mizar/bpf"
)

const (
	// setMembers and setSlots are SET_MEMBERS and SET_SLOTS, from the type that is made of them.
	setMembers = len(bpf.TableSet{}.Members)
	setSlots   = len(bpf.TableSet{}.Slots)
)

// maglev deals the slots out to the members, as Maglev does (Eisenbud and others, NSDI 2016, 3.4): each
// member has an order of its own of all slots, and in turn takes the first that is free. So the shares
// differ by one slot at most, and where a member comes or goes most of the others' slots stay theirs.
// Every host that has the members in the same order gets the same slots.
func maglev(members []bpf.TableAddress) (slots [setSlots]uint8) {
	if len(members) == 0 {
		return slots
	}
	next, skip := make([]int, len(members)), make([]int, len(members))
	for i, m := range members {
		h := sha256.Sum256(m.Bytes[:])
		next[i] = int(binary.BigEndian.Uint64(h[:]) % uint64(setSlots))
		skip[i] = int(binary.BigEndian.Uint64(h[8:])%uint64(setSlots-1)) + 1 // the slots are a prime: all are met
	}
	var taken [setSlots]bool
	for left := setSlots; ; {
		for i := range members {
			for taken[next[i]] {
				next[i] = (next[i] + skip[i]) % setSlots
			}
			taken[next[i]] = true
			slots[next[i]] = uint8(i)
			if left--; left == 0 {
				return slots
			}
		}
	}
}
