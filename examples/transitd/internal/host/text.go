// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/mizar-go/mizar/dataplane"
)

// invalid is a field that makes no sense.
type invalid struct {
	field string
	why   string
}

func (e *invalid) Error() string { return e.why }

func (e *invalid) Is(target error) bool { return target == dataplane.ErrInvalid }

func wrong(field, format string, args ...any) error {
	return &invalid{field: field, why: fmt.Sprintf(format, args...)}
}

// fieldOf is which field an error speaks of.
func fieldOf(err error) string {
	if e, ok := errors.AsType[*invalid](err); ok {
		return e.field
	}
	return ""
}

// reader reads the texts of a message, and keeps the first error. It writes them as they are written here: so
// equal ones are equal texts. One that is so already is left alone: others may be reading it.
type reader struct{ err error }

// value is an address or a prefix.
type value interface {
	fmt.Stringer
	IsValid() bool
}

// set writes what is not written so, and leaves what makes no sense as it came: an error shows it.
func set[T value](text *string, to T) {
	if s := to.String(); to.IsValid() && *text != s {
		*text = s
	}
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) vni(field string, v uint32) {
	if v == 0 || v >= 1<<24 {
		r.fail(wrong(field, "%d is no VNI: 1 to 16777215", v))
	}
}

func (r *reader) addr(field string, text *string) netip.Addr {
	a, err := netip.ParseAddr(*text)
	switch {
	case err != nil:
		r.fail(wrong(field, "%q is no address", *text))
	case a.Zone() != "" || a.Is4In6():
		r.fail(wrong(field, "%s: no zone, and no IPv4 written as IPv6", a))
	}
	set(text, a)
	return a
}

// optional is addr, or nothing.
func (r *reader) optional(field string, text *string) netip.Addr {
	if *text == "" {
		return netip.Addr{}
	}
	return r.addr(field, text)
}

// hosts are addresses whose order says nothing.
func (r *reader) hosts(field string, texts []string) []netip.Addr {
	var all []netip.Addr
	for i := range texts {
		all = append(all, r.addr(fmt.Sprintf("%s[%d]", field, i), &texts[i]))
	}
	slices.SortFunc(all, netip.Addr.Compare)
	for i := range texts {
		set(&texts[i], all[i])
		if i > 0 && all[i] == all[i-1] {
			r.fail(wrong(field, "%s is there twice", all[i]))
		}
	}
	return all
}

func (r *reader) parsePrefix(field, text string) netip.Prefix {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		r.fail(wrong(field, "%q is no prefix", text))
	case p.Addr().Is4In6():
		r.fail(wrong(field, "%s: no IPv4 written as IPv6", p))
	}
	return p
}

// masked is a prefix whose host bits are zero.
func (r *reader) masked(field string, text *string) netip.Prefix {
	p := r.parsePrefix(field, *text)
	if p.IsValid() && p != p.Masked() {
		r.fail(wrong(field, "%s has host bits: %s is meant", p, p.Masked()))
	}
	set(text, p)
	return p
}

// interfacePrefix is an address with the prefix length of its network.
func (r *reader) interfacePrefix(field string, text *string) netip.Prefix {
	p := r.parsePrefix(field, *text)
	set(text, p)
	return p
}

func (r *reader) mac(field string, text *string) net.HardwareAddr {
	if *text == "" {
		return nil
	}
	mac, err := net.ParseMAC(*text)
	if err != nil || len(mac) != 6 {
		r.fail(wrong(field, "%q is no MAC address: six bytes in hex, with colons", *text))
		return nil
	}
	if is := mac.String(); *text != is {
		*text = is
	}
	return mac
}

// ifname is what the kernel takes as the name of an interface. A slash or two dots would be a path in /sys.
func (r *reader) ifname(field, name string) {
	ok := len(name) > 0 && len(name) < 16 && name != "." && name != ".."
	for _, c := range []byte(name) {
		ok = ok && c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '%'
	}
	if !ok {
		r.fail(wrong(field, "%q is no name of an interface", name))
	}
}

// file is a name in a directory of ours: no path.
func (r *reader) file(field, name string) {
	ok := len(name) > 0 && len(name) < 256 && name[0] != '.'
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == ':' || c == '@')
	}
	if !ok {
		r.fail(wrong(field, "%q is no name: letters, digits, - _ . : @", name))
	}
}

// function is a name that the library takes for one.
func (r *reader) function(field, name string) {
	ok := len(name) > 0 && len(name) < 64
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	if !ok {
		r.fail(wrong(field, "%q is no name: letters, digits, - and _, 63 at most", name))
	}
}

func texts[T fmt.Stringer](all []T) []string {
	var out []string
	for _, a := range all {
		out = append(out, a.String())
	}
	return out
}

// text of an address, or empty.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
