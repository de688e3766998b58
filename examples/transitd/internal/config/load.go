// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// maxFile is more than a configuration has: what is larger is another file.
const maxFile = 1 << 20

// Load reads a file, and checks it. Its error has all mistakes, one a line: file:line: field: reason.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	if len(text) > maxFile {
		return Config{}, fmt.Errorf("read configuration: %s: more than %d bytes", path, maxFile)
	}
	return parse(path, text)
}

func parse(path string, text []byte) (Config, error) {
	c := Default()
	r := &reader{file: path}
	root, err := document(text)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if root != nil {
		r.root = root
		r.read(root, &c)
	}
	if len(r.mistakes) == 0 {
		c.check(r)
	}
	if err := errors.Join(r.mistakes...); err != nil {
		return Config{}, err
	}
	return c, nil
}

// document is the one that text has; nil if it has none, or an empty one.
func document(text []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var more yaml.Node
	if err := d.Decode(&more); err == nil {
		return nil, fmt.Errorf("line %d: a second document", more.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	return root, nil
}
