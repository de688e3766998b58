// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
)

// series is one figure of one contender, as every round gave it.
type series struct {
	Figure    string    `json:"figure"`
	Contender string    `json:"contender"`
	MTU       int       `json:"mtu,omitempty"` // of the underlay; 0: it does not matter
	Unit      string    `json:"unit"`
	Rounds    []float64 `json:"rounds"`
	Median    float64   `json:"median"`

	title string // of the contender
	digit int    // to print after the point
}

// results are all that was measured, in the order in which it first was.
type results struct {
	about  about
	series []*series
}

// add takes what one round gave.
func (r *results) add(f figure, contender, title string, mtu int, value float64) {
	s := r.find(f.name, contender, mtu)
	if s == nil {
		s = &series{Figure: f.name, Contender: contender, MTU: mtu, Unit: f.unit, title: title, digit: f.digit}
		r.series = append(r.series, s)
	}
	s.Rounds = append(s.Rounds, value)
	s.Median = median(s.Rounds)
}

// find gives nil where nothing of the kind was measured.
func (r *results) find(figure, contender string, mtu int) *series {
	for _, s := range r.series {
		if s.Figure == figure && s.Contender == contender && s.MTU == mtu {
			return s
		}
	}
	return nil
}

// ratio is the median of a round's ratios: what one round gave is divided by what the same one gave for
// the other.
func ratio(s, to *series) float64 {
	var all []float64
	for i := range min(len(s.Rounds), len(to.Rounds)) {
		all = append(all, s.Rounds[i]/to.Rounds[i])
	}
	return median(all)
}

// median is the mean of the middle two, where there are two. Of nothing it is not a number.
func median(all []float64) float64 {
	if len(all) == 0 {
		return math.NaN()
	}
	all = slices.Sorted(slices.Values(all))
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}
