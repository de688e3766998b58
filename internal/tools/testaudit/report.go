// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// event is a line of go test -json; see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Elapsed    float64
	Output     string
}

// report prints each package when it is done, and remembers what is wrong.
type report struct {
	out      io.Writer
	may      allowed
	packages map[string]*results
	problems []string

	passed, failed, skipped int
}

// results of one package so far. Tests that have not ended are in output, too: a panic ends them all.
type results struct {
	passed, failed, skipped int
	output                  map[string]*strings.Builder // by test; "": the package's own
	order                   []string
}

func newReport(out io.Writer, may allowed) *report {
	return &report{out: out, may: may, packages: make(map[string]*results)}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprintf(r.out, "%s", line) // go's own words
			} else {
				r.add(e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
	}
}

func (r *report) add(e event) {
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
		return
	case "build-fail":
		r.problem("%s does not build", e.ImportPath)
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &results{output: make(map[string]*strings.Builder)}
		r.packages[e.Package] = p
	}
	switch {
	case e.Action == "output":
		p.print(e.Test, e.Output)
	case e.Test != "":
		r.endTest(p, e)
	default:
		r.endPackage(p, e)
	}
}

func (p *results) print(test, text string) {
	b := p.output[test]
	if b == nil {
		b = new(strings.Builder)
		p.output[test] = b
		p.order = append(p.order, test)
	}
	b.WriteString(text)
}

func (r *report) endTest(p *results, e event) {
	switch e.Action {
	case "pass":
		p.passed++
	case "fail":
		p.failed++
		r.problem("%s %s failed", e.Package, e.Test)
		return // its output is kept for the end of the package
	case "skip":
		p.skipped++
		reason := skipReason(p.output[e.Test])
		fmt.Fprintf(r.out, "skip  %s %s: %s\n", e.Package, e.Test, reason)
		if !r.may.skip(e.Package, e.Test, reason) {
			r.problem("%s %s was skipped: %s", e.Package, e.Test, reason)
		}
	default:
		return
	}
	delete(p.output, e.Test)
}

func (r *report) endPackage(p *results, e event) {
	word := "ok  "
	switch e.Action {
	case "pass":
		if p.passed+p.skipped == 0 {
			r.problem("%s has test files, and no test ran", e.Package)
		}
	case "fail":
		word = "FAIL"
		r.problem("%s failed", e.Package)
		for _, test := range p.order {
			if b := p.output[test]; b != nil {
				fmt.Fprint(r.out, b.String())
			}
		}
	case "skip":
		word = "-   " // no test files
	default:
		return
	}
	fmt.Fprintf(r.out, "%s  %s %.1fs: %d passed, %d failed, %d skipped%s\n", word, e.Package, e.Elapsed,
		p.passed, p.failed, p.skipped, shuffleSeed(p.output[""]))
	r.passed += p.passed
	r.failed += p.failed
	r.skipped += p.skipped
	delete(r.packages, e.Package)
}

// verdict is nil only where tests ran, and nothing was wrong.
func (r *report) verdict() error {
	fmt.Fprintf(r.out, "total: %d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	for name := range r.packages {
		if name != "" {
			r.problem("%s never ended", name)
		}
	}
	if r.passed == 0 {
		r.problem("no test ran")
	}
	if len(r.problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(r.problems, "\n\t"))
}

func (r *report) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// skipLine is what t.Skip prints: file, line and text.
var skipLine = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)`)

func skipReason(output *strings.Builder) string {
	if output == nil {
		return ""
	}
	var reason []string
	for line := range strings.Lines(output.String()) {
		if m := skipLine.FindStringSubmatch(line); m != nil {
			reason = append(reason, strings.TrimSpace(m[1]))
		}
	}
	return strings.Join(reason, "; ")
}

var seedLine = regexp.MustCompile(`(?m)^-test\.shuffle \d+$`)

// shuffleSeed is what repeats the order of a run: -shuffle=N.
func shuffleSeed(output *strings.Builder) string {
	if output == nil {
		return ""
	}
	if seed := seedLine.FindString(output.String()); seed != "" {
		return ", " + strings.TrimPrefix(seed, "-test.")
	}
	return ""
}
