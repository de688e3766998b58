// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"

	"golang.org/x/sys/unix"
)

// trie is a table whose keys are prefixes. The kernel looks up the longest match only, and has no way to
// ask for one prefix: so a writer keeps the rows in memory as well. A reader has none, and searches.
type trie[K comparable, V any] struct {
	table[K, V]
	rows map[K]V // nil: read-only
}

// errRestless: a trie was changed all the time while it was read.
var errRestless = errors.New("table keeps changing")

// scan reads a whole trie from the kernel. Where another process writes, the kernel may begin again:
// then it has seen rows twice, and one that came or went meanwhile may be in or not. One that goes between
// its key and its value comes with the value of the longest prefix that is left around it: the kernel looks
// values up as for packets.
func (t table[K, V]) scan() (map[K]V, error) {
	rows := make(map[K]V)
	var c cursor[K, V]
	for total, limit := 0, 8*int(t.m.MaxEntries())+batch; total < limit; {
		keys, values, err := t.next(&c)
		if errors.Is(err, unix.EINTR) { // a row went while the kernel was at it
			c, total = cursor[K, V]{}, total+batch
			continue
		}
		if err != nil || len(keys) == 0 {
			return rows, err
		}
		total += len(keys)
		for i := range keys {
			rows[keys[i]] = values[i]
		}
	}
	return nil, errRestless
}

// load makes this a writer's.
func (t *trie[K, V]) load() error {
	rows, err := t.scan()
	if err == nil {
		t.rows = rows
	}
	return err
}

// all are the rows at this moment. The map is not the caller's to change.
func (t *trie[K, V]) all() (map[K]V, error) {
	if t.rows != nil {
		return t.rows, nil
	}
	return t.scan()
}

func (t *trie[K, V]) get(key K) (value V, err error) {
	rows, err := t.all()
	if err != nil {
		return value, err
	}
	value, ok := rows[key]
	if !ok {
		return value, ErrNotFound
	}
	return value, nil
}

// match is the longest match of a full key.
func (t *trie[K, V]) match(key K) (V, error) {
	return t.table.get(key)
}

func (t *trie[K, V]) put(key K, value V) error {
	err := t.table.put(key, value)
	if err == nil {
		t.rows[key] = value
	}
	return err
}

func (t *trie[K, V]) putAll(keys []K, values []V) (int, error) {
	done, err := t.table.putAll(keys, values)
	for i := range done {
		t.rows[keys[i]] = values[i]
	}
	return done, err
}

func (t *trie[K, V]) deleteAll(keys []K, missing func(i int)) error {
	err := t.table.deleteAll(keys, missing)
	if err != nil {
		return errors.Join(err, t.load()) // how far it came, the kernel knows
	}
	for _, k := range keys {
		delete(t.rows, k)
	}
	return nil
}
