// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"cmp"
	"strconv"

	"google.golang.org/protobuf/proto"
)

// column is one of a noun's table.
type column struct {
	title string
	wide  bool // only with -o wide
	right bool // numbers that one compares
	of    func(m proto.Message) cell
}

// col shows a field.
func col(title, path string) column {
	return column{title: title, of: func(m proto.Message) cell { return cell{text: show(m, path)} }}
}

// told shows what is, or, where a state only says what is wanted, that.
func told(title, is, wanted string) column {
	return column{title: title, of: func(m proto.Message) cell { return cell{text: cmp.Or(show(m, is), show(m, wanted))} }}
}

// count shows a number, zeros too.
func count(title, path string) column {
	return column{title: title, right: true, of: func(m proto.Message) cell {
		if fd, v, ok := find(m.ProtoReflect(), path); ok && fd.Message() == nil {
			return cell{text: strconv.FormatUint(v.Uint(), 10)}
		}
		return cell{}
	}}
}

// is shows what a resource of type T says in words of its own.
func is[T proto.Message](title string, f func(T) cell) column {
	return column{title: title, of: func(m proto.Message) cell { return f(m.(T)) }}
}

func wide(columns ...column) []column {
	for i := range columns {
		columns[i].wide = true
	}
	return columns
}

// tell has the rows of a table, with its titles first.
func (n *noun) table(all []proto.Message, allColumns, titles bool) *table {
	t := &table{}
	var columns []column
	for _, c := range n.columns {
		if !c.wide || allColumns {
			columns = append(columns, c)
			t.right = append(t.right, c.right)
		}
	}
	if titles {
		var head []cell
		for _, c := range columns {
			head = append(head, cell{c.title, bold})
		}
		t.rows = append(t.rows, head)
	}
	for _, m := range all {
		var row []cell
		for _, c := range columns {
			row = append(row, c.of(m))
		}
		t.rows = append(t.rows, row)
	}
	return t
}
