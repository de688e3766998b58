// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	skips := flag.String("skips", "", "list of the tests that may be skipped, or any; empty: none may")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *skips); err != nil {
		fmt.Fprintln(os.Stderr, "testaudit:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, skips string) error {
	may, err := readAllowed(skips)
	if err != nil {
		return err
	}
	r := newReport(out, may)
	if err := r.read(in); err != nil {
		return err
	}
	return r.verdict()
}
