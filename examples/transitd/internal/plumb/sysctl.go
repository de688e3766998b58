// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sysctl plans that a setting of IPv6 of an interface has a value. A kernel without IPv6 has none.
func (p *Plumber) sysctl(to *plan, name, setting, value string, there bool) error {
	path := filepath.Join("/proc/sys/net/ipv6/conf", name, setting)
	set := func(value string) func() error {
		return func() error {
			return p.in(func() error {
				err := os.WriteFile(path, []byte(value), 0)
				if errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				return err
			})
		}
	}
	if !there {
		to.then(setting+" of "+name, set(value), nil)
		return nil
	}
	var now string
	err := p.in(func() error {
		b, err := os.ReadFile(path)
		now = strings.TrimSpace(string(b))
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && now == value:
		return nil
	case err != nil:
		return err
	}
	to.then(setting+" of "+name, set(value), set(now))
	return nil
}
