// SPDX-License-Identifier: Apache-2.0

package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMisspelled: a state in JSON of which a list is misspelled does not remove what the list was to have.
func TestMisspelled(t *testing.T) {
	a, _ := twoHosts(t, nil)
	a.apply(`{"peers":[{"prefix":"192.0.2.0/24"}]}`)
	etag := a.health().Etag
	post := func(kind, body string) (int, string) {
		r, err := a.http.Post("http://host/mizar.dataplane.v1.HostService/Apply", kind, strings.NewReader(body))
		require.NoError(t, err)
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r.StatusCode, string(text)
	}
	for _, kind := range []string{"application/json", "application/json; charset=utf-8"} {
		for _, body := range []string{
			`{"state":{"peer":[{"prefix":"192.0.2.0/24"}]}}`, `{"state":{},"dryrun":true}`, `{"state":{"peers":[{"prefix":"192.0.2.0/24","cooky":"1"}]}}`, ``,
		} {
			code, text := post(kind, body)
			require.Equal(t, http.StatusBadRequest, code, "%s: %s", body, text)
			require.Contains(t, text, `"invalid_argument"`, body)
		}
		require.Equal(t, etag, a.health().Etag)
		code, text := post(kind, `{"state":{"peers":[{"prefix":"192.0.2.0/24"}]}}`)
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, text, etag)
	}
}
