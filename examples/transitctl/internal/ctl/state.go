// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// places are where resources of a state are in files: of each list, one after another.
type places map[protoreflect.Name][]string

// note adds those of a document, which makes sense.
func (p places) note(r *reader, document *yaml.Node) {
	fields := new(v1.State).ProtoReflect().Descriptor().Fields()
	for _, e := range entries(document) {
		fd := fields.ByJSONName(e.key.Value)
		if fd == nil {
			fd = fields.ByTextName(e.key.Value)
		}
		for _, one := range list(e.value) {
			p[fd.Name()] = append(p[fd.Name()], fmt.Sprintf("%s:%d", r.file, one.Line))
		}
	}
}

var inState = regexp.MustCompile(`^state\.(\w+)\[(\d+)\]`)

// of is where the resource is whose field is wrong; empty where that is not known.
func (p places) of(err error) string {
	var refused *connect.Error
	if !errors.As(err, &refused) {
		return ""
	}
	m := inState.FindStringSubmatch(detail(refused).GetField())
	if m == nil {
		return ""
	}
	all := p[protoreflect.Name(m[1])]
	if i, err := strconv.Atoi(m[2]); err == nil && i < len(all) {
		return all[i]
	}
	return ""
}

// readState reads files, - for what comes in, into one state: lists are continued from document to document.
func (c *cli) readState(files []string) (*v1.State, places, error) {
	state, at := new(v1.State), places{}
	for _, file := range files {
		text, r, err := c.open(file)
		if err != nil {
			return nil, nil, err
		}
		documents, err := r.documents(text)
		if err != nil {
			return nil, nil, err
		}
		if len(documents) == 0 { // what should have written it failed, more often than not
			return nil, nil, usagef("%s: nothing is in it: a state that has nothing, which takes all away, reads {}", r.file)
		}
		for _, n := range documents {
			one := new(v1.State)
			if err := r.message(n, one.ProtoReflect(), ""); err != nil {
				return nil, nil, err
			}
			at.note(r, n)
			proto.Merge(state, one)
		}
	}
	return state, at, nil
}

// open reads a file, or what comes in.
func (c *cli) open(file string) ([]byte, *reader, error) {
	if file == "-" {
		text, err := io.ReadAll(c.in)
		return text, &reader{file: "standard input"}, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, usagef("%w", err)
	}
	return text, &reader{file: file, dir: filepath.Dir(file)}, nil
}

// kinds reads nouns, and has the kinds that they are of. Names are nil if nobody gave any: all are meant.
func (c *cli) kinds(names []string) ([]v1.Kind, error) {
	if names != nil && len(names) == 0 { // a variable that is not set
		return nil, usagef("--kinds names none: there are %s", strings.Join(c.kindNames(), ", "))
	}
	var kinds []v1.Kind
	for _, name := range names {
		n, err := c.find(name)
		if err != nil || n.kind == v1.Kind_KIND_UNSPECIFIED {
			return nil, usagef("%q is no kind: there are %s", name, strings.Join(c.kindNames(), ", "))
		}
		kinds = append(kinds, n.kind)
	}
	return kinds, nil
}

func (c *cli) kindNames() []string {
	var names []string
	for _, n := range c.nouns {
		if n.kind != v1.Kind_KIND_UNSPECIFIED {
			names = append(names, n.plural)
		}
	}
	return names
}

// stateField is the field of a state that has a noun's resources.
func (n *noun) stateField() protoreflect.FieldDescriptor {
	name := strings.ReplaceAll(n.plural, "-", "_")
	return new(v1.State).ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name))
}

// only clears what a state says of other kinds. None named: it says all.
func (c *cli) only(state *v1.State, kinds []v1.Kind) {
	wanted := map[v1.Kind]bool{}
	for _, k := range kinds {
		wanted[k] = true
	}
	for _, n := range c.nouns {
		if n.kind != v1.Kind_KIND_UNSPECIFIED && len(kinds) > 0 && !wanted[n.kind] {
			state.ProtoReflect().Clear(n.stateField())
		}
	}
}

// printState prints a table for each kind.
func (c *cli) printState(state *v1.State) error {
	var b bytes.Buffer
	p := c.palette(c.out)
	for _, n := range c.nouns {
		if n.kind == v1.Kind_KIND_UNSPECIFIED {
			continue
		}
		var all []proto.Message
		l := state.ProtoReflect().Get(n.stateField()).List()
		for i := range l.Len() {
			all = append(all, l.Get(i).Message().Interface())
		}
		if len(all) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintln(&b, p.paint(bold, n.title()))
		if err := n.table(all, c.output == "wide", !c.noHeaders).print(&b, p); err != nil {
			return err
		}
	}
	if b.Len() == 0 {
		fmt.Fprintln(c.err, "nothing is there")
	}
	_, err := c.out.Write(b.Bytes())
	return err
}
