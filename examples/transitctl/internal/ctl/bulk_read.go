// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

func formats() []string { return []string{"jsonl", "json", "yaml", "csv"} }

// readEndpoints reads a file of endpoints. Its reader knows where each was.
func (c *cli) readEndpoints(file, format string) ([]*v1.Endpoint, *reader, error) {
	if format != "" && !slices.Contains(formats(), format) {
		return nil, nil, usagef("--format %q is none of %s", format, strings.Join(formats(), ", "))
	}
	text, r, err := c.open(file)
	if err != nil {
		return nil, nil, err
	}
	if format == "" {
		format = formatOf(file, text)
	}
	var all []*v1.Endpoint
	switch format {
	case "jsonl":
		all, err = r.endpointsJSON(text)
	case "csv":
		all, err = r.endpointsCSV(text)
	default:
		all, err = r.endpointsYAML(text)
	}
	if err == nil && len(all) == 0 {
		err = usagef("%s: no endpoint is in it", r.file)
	}
	return all, r, err
}

// inMessage is how the daemon calls one of the endpoints of a message.
var inMessage = regexp.MustCompile(`(?:endpoints|keys)\[(\d+)\](?:\.|: )`)

// located says where in the file the endpoint is that the daemon refused, in a message of so many after so many.
func (r *reader) located(err error, after, many int) error {
	var refused *connect.Error
	if !errors.As(err, &refused) || detail(refused).GetCause() != v1.Cause_CAUSE_INVALID {
		return err
	}
	text := refused.Message()
	if m := inMessage.FindStringSubmatch(text); m != nil {
		i, _ := strconv.Atoi(m[1])
		after, many, text = after+i, 1, strings.Replace(text, m[0], "", 1)
	}
	if many != 1 || after >= len(r.lines) {
		return err
	}
	return usagef("%s:%d: %s", r.file, r.lines[after], text)
}

// formatOf guesses by the name, or by the first line.
func formatOf(file string, text []byte) string {
	switch ext := strings.TrimPrefix(filepath.Ext(file), "."); ext {
	case "csv", "json", "yaml", "jsonl":
		return ext
	case "ndjson":
		return "jsonl"
	case "yml":
		return "yaml"
	}
	var first []byte
	for l := range bytes.Lines(text) {
		if first = bytes.TrimSpace(l); len(first) > 0 && first[0] != '#' {
			break
		}
	}
	switch {
	case bytes.HasPrefix(first, []byte("{")) && bytes.HasSuffix(first, []byte("}")) && !bytes.Contains(first, []byte(`"endpoints"`)):
		return "jsonl"
	case bytes.ContainsAny(first, ",") && !bytes.ContainsAny(first, "{["):
		return "csv"
	}
	return "yaml"
}

// protojsonError is what is not ours of such an error: its place in the line, and a space that it varies at will.
var protojsonError = regexp.MustCompile(`^proto:[\s\x{a0}]+(?:\(line \d+:\d+\): )?`)

func (r *reader) endpointsJSON(text []byte) ([]*v1.Endpoint, error) {
	var all []*v1.Endpoint
	line := 0
	for l := range bytes.Lines(text) {
		line++
		if l = bytes.TrimSpace(l); len(l) == 0 {
			continue
		}
		e := new(v1.Endpoint)
		if err := protojson.Unmarshal(l, e); err != nil {
			return nil, usagef("%s:%d: %s", r.file, line, protojsonError.ReplaceAllString(err.Error(), ""))
		}
		all, r.lines = append(all, e), append(r.lines, line)
	}
	return all, nil
}

func (r *reader) endpointsCSV(text []byte) ([]*v1.Endpoint, error) {
	columns := []string{"vni", "address", "host", "mac", "cookie"}
	from := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff")))) // spreadsheets begin with that
	from.Comment = '#'
	from.FieldsPerRecord = -1
	from.ReuseRecord = true
	from.TrimLeadingSpace = true
	var all []*v1.Endpoint
	for first := true; ; first = false {
		record, err := from.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case errors.As(err, &wrong):
			return nil, usagef("%s:%d: %w", r.file, wrong.Line, wrong.Err)
		case err != nil:
			return nil, err
		}
		line, _ := from.FieldPos(0)
		if first && slices.Contains(record, "vni") {
			for _, name := range record {
				if !slices.Contains(columns, name) {
					return nil, usagef("%s:%d: no such column: %q: there are %s", r.file, line, name, strings.Join(columns, ", "))
				}
			}
			columns = slices.Clone(record)
			continue
		}
		if len(record) > len(columns) {
			return nil, usagef("%s:%d: more than %s", r.file, line, strings.Join(columns, ","))
		}
		e := new(v1.Endpoint)
		for i, text := range record {
			if text == "" {
				continue
			}
			if err := put(e.ProtoReflect(), columns[i], text); err != nil {
				return nil, usagef("%s:%d: %s: %w", r.file, line, columns[i], err)
			}
		}
		all, r.lines = append(all, e), append(r.lines, line)
	}
}

// endpointsYAML takes a list, or a state that says nothing else.
func (r *reader) endpointsYAML(text []byte) ([]*v1.Endpoint, error) {
	documents, err := r.documents(text)
	if err != nil {
		return nil, err
	}
	var all []*v1.Endpoint
	for _, n := range documents {
		path := ""
		if n.Kind == yaml.MappingNode {
			if err := r.known(n, "", "endpoints"); err != nil {
				return nil, err
			}
			path, n = "endpoints", entries(n)[0].value
		}
		if n.Kind != yaml.SequenceNode {
			return nil, r.wrong(n, orTop(path), "not a list")
		}
		for i, one := range list(n) {
			e := new(v1.Endpoint)
			if err := r.message(one, e.ProtoReflect(), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return nil, err
			}
			all, r.lines = append(all, e), append(r.lines, one.Line)
		}
	}
	return all, nil
}
