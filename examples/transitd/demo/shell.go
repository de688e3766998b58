// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mizar-go/mizar/examples/internal/lab"
)

// most is how many lines of an answer are printed.
const most = 24

// shell is where an operator types commands: on the manager, in a directory with the files.
type shell struct {
	out        io.Writer
	at         *lab.Host
	dir        string
	transitctl string
}

// title begins a part of the demo.
func (s *shell) title(text string) {
	fmt.Fprintf(s.out, "\n%s\n%s\n", text, strings.Repeat("─", len([]rune(text))))
}

// say prints what no program says.
func (s *shell) say(format string, args ...any) {
	fmt.Fprintf(s.out, "  "+format+"\n", args...)
}

// typed prints a command, with the host that it is typed on.
func (s *shell) typed(host string, words ...string) {
	fmt.Fprintf(s.out, "%s$ %s\n", host, strings.Join(words, " "))
}

// print prints an answer, shortened.
func (s *shell) print(text string) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	left := len(lines) - most
	if left > 1 {
		lines = lines[:most]
	}
	for _, l := range lines {
		fmt.Fprintln(s.out, strings.TrimRight("  "+l, " "))
	}
	if left > 1 {
		fmt.Fprintf(s.out, "  … %d lines more\n", left)
	}
}

// file writes a file, and prints it.
func (s *shell) file(name, text string) error {
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		return err
	}
	s.typed(manager.name, "cat", name)
	for l := range strings.Lines(text) {
		fmt.Fprintf(s.out, "  %s", l)
	}
	return nil
}

// do runs transitctl as typed, and prints what it answers. Another exit code than wanted is an error.
func (s *shell) do(ctx context.Context, want int, args ...string) (string, error) {
	s.typed(manager.name, append([]string{"transitctl"}, args...)...)
	answer, code, err := s.ask(ctx, args...)
	if err != nil {
		return "", err
	}
	s.print(answer)
	if code != want {
		return answer, fmt.Errorf("transitctl %s: exit code %d, not %d: %s", strings.Join(args, " "), code, want, answer)
	}
	if code != 0 {
		s.say("(exit code %d)", code)
	}
	return answer, nil
}

// expect runs transitctl, and looks for words in its answer.
func (s *shell) expect(ctx context.Context, words []string, args ...string) error {
	answer, err := s.do(ctx, 0, args...)
	if err != nil {
		return err
	}
	for _, w := range words {
		if !strings.Contains(answer, w) {
			return fmt.Errorf("transitctl %s: no %q in the answer: %s", strings.Join(args, " "), w, answer)
		}
	}
	return nil
}

// ask runs transitctl and prints nothing.
func (s *shell) ask(ctx context.Context, args ...string) (answer string, code int, err error) {
	p, b, err := s.start(args...)
	if err != nil {
		return "", 0, err
	}
	select {
	case <-p.ended:
		return b.String(), p.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return "", 0, errors.Join(ctx.Err(), p.kill())
	}
}

// start starts transitctl on the manager. Its output can be read once it has ended.
func (s *shell) start(args ...string) (*process, *bytes.Buffer, error) {
	var b bytes.Buffer
	cmd := exec.Command(s.transitctl, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &b, &b
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TRANSITCTL_") }),
		"TRANSITCTL_CONFIG="+filepath.Join(s.dir, "transitctl.yaml"))
	p, err := start(s.at.Namespace, cmd)
	return p, &b, err
}
