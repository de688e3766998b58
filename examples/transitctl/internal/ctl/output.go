// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// forms are what -o takes.
func forms() []string { return []string{"table", "wide", "json", "yaml", "name"} }

// structured prints a message if -o asks for JSON or YAML, and says whether it did.
func (c *cli) structured(m proto.Message) (bool, error) {
	switch c.output {
	case "json":
		text, err := jsonOf(m)
		if err != nil {
			return true, err
		}
		var b bytes.Buffer
		if err := json.Indent(&b, text, "", "  "); err != nil {
			return true, err
		}
		b.WriteByte('\n')
		_, err = c.out.Write(b.Bytes())
		return true, err
	case "yaml":
		text, err := yamlOf(m)
		if err != nil {
			return true, err
		}
		_, err = c.out.Write(text)
		return true, err
	}
	return false, nil
}

// line prints a message as one line of JSON.
func (c *cli) line(m proto.Message) error {
	text, err := jsonOf(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s\n", text)
	return err
}

// jsonOf is the JSON that the API speaks, without the spaces that protojson varies at will. A list that is empty is
// one, though: what reads it should not have to ask whether it is there.
func jsonOf(m proto.Message) ([]byte, error) {
	text, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return nil, err
	}
	if fd := resourceField(m.ProtoReflect()); b.String() == "{}" && fd != nil && fd.IsList() && fd.Message() != nil {
		return fmt.Appendf(nil, `{%q:[]}`, fd.JSONName()), nil
	}
	return b.Bytes(), nil
}

// yamlOf is the same tree in YAML.
func yamlOf(m proto.Message) ([]byte, error) {
	text, err := jsonOf(m)
	if err != nil {
		return nil, err
	}
	return yamlFrom(text)
}

func yamlFrom(json []byte) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(json, &document); err != nil {
		return nil, err
	}
	plain(&document)
	return indented(&document)
}

// indented is YAML as all of ours looks.
func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// own prints what is not of the API, if -o asks for JSON or YAML, and says whether it did.
func (c *cli) own(v any) (bool, error) {
	if c.output != "json" && c.output != "yaml" {
		return false, nil
	}
	text, err := json.MarshalIndent(v, "", "  ")
	text = append(text, '\n')
	if err == nil && c.output == "yaml" {
		text, err = yamlFrom(text)
	}
	if err == nil {
		_, err = c.out.Write(text)
	}
	return true, err
}

// plain takes JSON's brackets and quotes away; what would be read as something else keeps its quotes.
func plain(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	for _, one := range n.Content {
		plain(one)
	}
}
