// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzOpen: whatever the file is, it is read, or it is damaged; and what was read once is read again, the same.
func FuzzOpen(f *testing.F) {
	raw, ends := filled(f)
	f.Add([]byte(nil))
	f.Add(raw)
	f.Add(raw[:ends[0]])
	f.Add(raw[:ends[2]+3])
	f.Add(append(append([]byte(nil), raw[:ends[1]]...), raw[ends[2]:]...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		var w told
		j, found, err := Open(dir, w.hear)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		if err := errors.Join(j.Begin(Change{Put: vpc(5)}), j.Close()); err != nil {
			t.Fatal(err)
		}
		if found.Pending != nil { // something follows now
			w[len(w)-1] = say(found.Pending.Put, found.Pending.Remove, false)
		}
		again, _ := reopen(t, dir)
		if len(again) != len(w)+1 {
			t.Fatalf("%d, then %d", len(w), len(again))
		}
		for i := range w {
			if w[i] != again[i] {
				t.Fatalf("%s, then %s", w[i], again[i])
			}
		}
	})
}
