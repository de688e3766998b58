// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
)

// print writes tables for people.
func (r *results) print(out io.Writer, reached []outcome) error {
	if _, err := fmt.Fprintln(out, r.about); err != nil {
		return err
	}
	for _, mtu := range []int{standardMTU, jumboMTU} {
		if err := r.table(out, mtu); err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range r.series {
		if s.MTU == 0 {
			fmt.Fprintf(w, "\n%s\t%s\t%s %s", s.Figure, s.title, s.text(), s.Unit)
		}
	}
	fmt.Fprintln(w)
	if len(reached) > 0 {
		fmt.Fprintf(w, "\nTo reach\tat least\taim\tgot\treached\n")
	}
	for _, g := range reached {
		least := number(g.AtLeast)
		if g.Aim < g.AtLeast {
			least = "≤ " + least
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", g.Goal, least, number(g.Aim), number(g.Got), g.Reached)
	}
	return w.Flush()
}

// table has the figures of an MTU as rows, contenders as columns, and what each is to the kernel's VXLAN.
func (r *results) table(out io.Writer, mtu int) error {
	var figures, contenders []string
	titles, units := make(map[string]string), make(map[string]string)
	for _, s := range r.series {
		if s.MTU != mtu {
			continue
		}
		if !slices.Contains(figures, s.Figure) {
			figures = append(figures, s.Figure)
		}
		if !slices.Contains(contenders, s.Contender) {
			contenders = append(contenders, s.Contender)
		}
		titles[s.Contender], units[s.Figure] = s.title, s.Unit
	}
	if len(figures) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nUnderlay MTU %d; in brackets × kernel VXLAN\t", mtu)
	for _, c := range contenders {
		fmt.Fprintf(w, "%s\t", titles[c])
	}
	fmt.Fprintln(w)
	for _, f := range figures {
		fmt.Fprintf(w, "%s, %s\t", f, units[f])
		base := r.find(f, vxlan, mtu)
		for _, c := range contenders {
			s := r.find(f, c, mtu)
			fmt.Fprint(w, s.text())
			if base != nil && s != base {
				fmt.Fprintf(w, " (%.2f)", ratio(s, base))
			}
			fmt.Fprint(w, "\t")
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func (s *series) text() string { return strconv.FormatFloat(s.Median, 'f', s.digit, 64) }

// number has two digits after the point, or none where it is large.
func number(f float64) string {
	if f >= 100 {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

// encode writes everything, every round included, for programs.
func (r *results) encode(out io.Writer, reached []outcome) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		About about     `json:"about"`
		Goals []outcome `json:"goals"`
		All   []*series `json:"series"`
	}{r.about, reached, r.series})
}
