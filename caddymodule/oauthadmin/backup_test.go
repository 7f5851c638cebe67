package oauthadmin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
)

// boltStore returns a store that is larger than what a connection takes without being read.
func boltStore(t *testing.T) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for i := range 250 {
		r := store.Record{Kind: "thing", ID: fmt.Sprint(i), Data: bytes.Repeat([]byte{byte(i)}, store.MaxData)}
		if err := s.Insert(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// serveAdmin returns the address of an admin API.
func serveAdmin(t *testing.T, handle func(http.ResponseWriter, *http.Request) error) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			var refused caddy.APIError
			errors.As(err, &refused)
			w.WriteHeader(refused.HTTPStatus)
			_, _ = fmt.Fprintf(w, `{"error":%q}`, refused.Error())
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// runOAuth runs caddy oauth.
func runOAuth(args ...string) error {
	root := &cobra.Command{Use: "oauth", SilenceErrors: true, SilenceUsage: true}
	oauthCommand().CobraFunc(root)
	root.SetArgs(args)
	return root.Execute()
}

// A copy that is not complete, or is not a backup, does not get the name, and the old file stays.
func TestBackupBrokenOff(t *testing.T) {
	var good bytes.Buffer
	copied, err := boltStore(t).Backup(t.Context(), "default", "https://id.example.com")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = copied.Close() }()
	if _, err := good.ReadFrom(copied); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		length int // what the answer says; less than 0: nothing
		body   []byte
		want   string
	}{
		"half of it":                  {good.Len(), good.Bytes()[:good.Len()/2], "the backup ended after"},
		"all but its end":             {good.Len(), good.Bytes()[:good.Len()-1], "the backup ended after"},
		"half, and it says so":        {good.Len() / 2, good.Bytes()[:good.Len()/2], "is truncated"},
		"nothing":                     {0, nil, "is empty"},
		"no length":                   {-1, good.Bytes(), "no Content-Length"},
		"something else":              {6, []byte("<html>"), "was not made by a backup"},
		"another byte in the middle":  {good.Len(), append(append(good.Bytes()[:5000:5000], 'x'), good.Bytes()[5001:]...), "has been changed"},
		"an error of the admin API":   {-2, nil, "there is no oauth_server"},
		"an admin API that goes away": {-3, nil, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			address := serveAdmin(t, func(w http.ResponseWriter, _ *http.Request) error {
				switch {
				case c.length >= 0:
					w.Header().Set("Content-Length", fmt.Sprint(c.length))
				case c.length == -2:
					return refuse(http.StatusNotFound, "there is no oauth_server")
				case c.length == -3:
					panic(http.ErrAbortHandler)
				}
				_, _ = w.Write(c.body)
				return nil
			})
			path := filepath.Join(t.TempDir(), "backup.db")
			for _, before := range []string{"", "yesterday's"} {
				args := []string{"backup", path, "--address", address}
				if before != "" {
					if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
						t.Fatal(err)
					}
					args = append(args, "--force")
				}
				if err := runOAuth(args...); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
				names, _ := os.ReadDir(filepath.Dir(path))
				if text, _ := os.ReadFile(path); string(text) != before || len(names) > 1 || before == "" && len(names) > 0 {
					t.Errorf("it left %v, and %.40q", names, text)
				}
			}
		})
	}
}

// A reader that leaves ends its own backup. Only one is taken at a time, and afterwards another can
// be taken.
func TestBackupReaders(t *testing.T) {
	a := newAdmin(t, boltStore(t))
	address := serveAdmin(t, a.serve)
	url := "http://" + address + basePath + "default/backup"
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if status, text, _ := a.ask(http.MethodGet, "backup", ""); status != http.StatusConflict || !strings.Contains(text, "another backup") {
		t.Errorf("while one is taken: %d %.80s", status, text)
	}
	leave()
	deadline := time.Now().Add(30 * time.Second)
	status, text := 0, ""
	for status != http.StatusOK && time.Now().Before(deadline) {
		status, text, _ = a.ask(http.MethodGet, "backup", "")
	}
	if status != http.StatusOK {
		t.Fatalf("after its reader has left: %d %.80s", status, text)
	}

	// Caddy ends the context of a request after ten seconds, and a large store takes longer.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	if err := a.serve(w, httptest.NewRequest(http.MethodGet, url, nil).WithContext(gone)); err != nil || fmt.Sprint(w.Body.Len()) != w.Header().Get("Content-Length") {
		t.Errorf("%v, %d bytes of %s", err, w.Body.Len(), w.Header().Get("Content-Length"))
	}
}

func TestBackupOfAStoreThatIsClosed(t *testing.T) {
	s := boltStore(t)
	a := newAdmin(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if status, text, header := a.ask(http.MethodGet, "backup", ""); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("%d %s", status, text)
	}
}
