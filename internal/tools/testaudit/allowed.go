// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// allowed tells which tests may be skipped. The zero value: none.
type allowed struct {
	any   bool
	rules []rule
}

type rule struct {
	pkg  string
	test *regexp.Regexp
}

func readAllowed(name string) (allowed, error) {
	switch name {
	case "":
		return allowed{}, nil
	case "any":
		return allowed{any: true}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return allowed{}, fmt.Errorf("read list of skips: %w", err)
	}
	defer f.Close()
	var a allowed
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		if len(fields) < 3 {
			return allowed{}, fmt.Errorf("%s:%d: want a package, a test and a reason", name, n)
		}
		re, err := regexp.Compile("^(?:" + fields[1] + ")$")
		if err != nil {
			return allowed{}, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		a.rules = append(a.rules, rule{fields[0], re})
	}
	if err := lines.Err(); err != nil {
		return allowed{}, fmt.Errorf("read list of skips: %w", err)
	}
	return a, nil
}

// skip tells whether the test may be skipped, having printed what it did.
func (a allowed) skip(pkg, test, reason string) bool {
	if a.any {
		return reason != ""
	}
	for _, r := range a.rules {
		if r.pkg == pkg && r.test.MatchString(test) {
			return true
		}
	}
	return false
}
