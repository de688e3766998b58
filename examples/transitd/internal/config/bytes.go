// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Bytes is a size: 65536, 64KiB, 4MiB, 1GiB.
type Bytes int

// UnmarshalText is of a number, with or without a unit.
func (b *Bytes) UnmarshalText(text []byte) error {
	number, unit := string(text), 1
	for name, times := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(number, name); ok {
			number, unit = strings.TrimSpace(n), times
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return fmt.Errorf("%q is no size such as 65536, 64KiB or 4MiB", text)
	}
	*b = Bytes(int(n) * unit)
	return nil
}
