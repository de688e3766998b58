// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	passes = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}
`
	skips = `{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:9: needs root\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
`
	silent = `{"Action":"skip","Package":"p","Test":"TestB"}
`
	fails = `{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:9: the cause\n"}
{"Action":"fail","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p"}
`
	ends = `{"Action":"output","Package":"p","Output":"-test.shuffle 42\n"}
{"Action":"pass","Package":"p","Elapsed":1.5}
`
	none   = `{"Action":"skip","Package":"q"}` + "\n"
	broken = `{"ImportPath":"p","Action":"build-output","Output":"p.go:1: the mistake\n"}
{"ImportPath":"p","Action":"build-fail"}
`
)

func TestRun(t *testing.T) {
	list := filepath.Join(t.TempDir(), "skips")
	if err := os.WriteFile(list, []byte("# comment\np Test[B] lacks root # here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in, skips string
		prints    string
		err       string // "": none
	}{
		"passes":           {in: passes + ends, prints: "ok    p 1.5s: 1 passed, 0 failed, 0 skipped, shuffle 42"},
		"no test files":    {in: passes + ends + none, prints: "-     q"},
		"other words":      {in: "go: downloading\n" + passes + ends, prints: "go: downloading\n"},
		"skip":             {in: passes + skips + ends, prints: "skip  p TestB: needs root", err: "TestB was skipped"},
		"skip, listed":     {in: passes + skips + ends, skips: list},
		"skip, any":        {in: passes + skips + ends, skips: "any"},
		"skip, no reason":  {in: passes + silent + ends, skips: "any", err: "TestB was skipped"},
		"list is missing":  {in: passes + ends, skips: list + "x", err: "no such file"},
		"fails":            {in: passes + fails, prints: "c_test.go:9: the cause", err: "p TestC failed"},
		"nothing":          {in: "", err: "no test ran"},
		"no test files, 1": {in: none, err: "no test ran"},
		"empty package":    {in: ends, err: "p has test files"},
		"never ends":       {in: passes, err: "p never ended"},
		"does not build":   {in: passes + ends + broken, prints: "the mistake", err: "p does not build"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := run(strings.NewReader(c.in), &out, c.skips)
			if !strings.Contains(out.String(), c.prints) {
				t.Errorf("printed %q, want %q", out.String(), c.prints)
			}
			switch {
			case c.err == "" && err != nil:
				t.Errorf("error %q, want none", err)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}
