// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// progress says what is going on, in one line that is written over. To anything but a terminal it says
// nothing.
type progress struct {
	to   io.Writer
	name string
}

func newProgress(f *os.File) *progress {
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return &progress{to: io.Discard}
	}
	return &progress{to: f}
}

func (p *progress) in(name string) { p.name = name }

func (p *progress) step(format string, args ...any) {
	fmt.Fprintf(p.to, "\r\x1b[K%s: %s …", p.name, fmt.Sprintf(format, args...))
}

// done wipes the line.
func (p *progress) done() { fmt.Fprint(p.to, "\r\x1b[K") }
