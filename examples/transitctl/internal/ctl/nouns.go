// SPDX-License-Identifier: Apache-2.0

package ctl

// The verbs that make something, each with what it is for.
const (
	add    = "add"    // a row of a table, or of the host's plumbing
	create = "create" // what has a life of its own: an interface, a program
	set    = "set"    // what is always there, and says something else from now on
)

// nouns are all that there are, in the order in which help has them.
func nouns() []*noun {
	var all []*noun
	for _, some := range [][]*noun{rowNouns(), hostNouns(), functionNouns(), plumbingNouns(), statNouns()} {
		all = append(all, some...)
	}
	for _, n := range all {
		n.own()
	}
	return all
}

// own adds what every resource has: the caller's cookie, and the etag.
func (n *noun) own() {
	if n.put == nil {
		return
	}
	d := n.resource().ProtoReflect().Descriptor()
	if field(d, "cookie") != nil {
		n.flags = append(n.flags, flag{name: "cookie", path: "cookie", usage: "a number of your own"})
		n.columns = append(n.columns, wide(col("COOKIE", "cookie"))...)
	}
	n.columns = append(n.columns, wide(col("ETAG", "etag"))...)
}
