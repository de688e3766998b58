// SPDX-License-Identifier: Apache-2.0

package plumb

// Outcome is what an Add did.
type Outcome uint8

const (
	Unchanged Outcome = iota // it was so already
	Added                    // it was not there
	Replaced                 // it was there, and differed
)

// String names it.
func (o Outcome) String() string {
	switch o {
	case Added:
		return "added"
	case Replaced:
		return "replaced"
	}
	return "unchanged"
}
