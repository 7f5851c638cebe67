package upstream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/tokenep/upstream"
	"github.com/tokenep/caddy-tokenep/verify"
)

// logged is a log that a test reads.
type logged struct {
	*slog.Logger
	text bytes.Buffer
}

func newLogged() *logged {
	l := new(logged)
	l.Logger = slog.New(slog.NewJSONHandler(&l.text, nil))
	return l
}

// Where a credential is from is written when it is obtained, and each request that it goes with is
// told its id. Neither has anything of the credential.
func TestObtained(t *testing.T) {
	s := tokeneptest.New(t)
	program, _ := elsewhere(t, says(http.StatusOK, `{"credential":"very-secret","access_token":"very-secret","token_type":"Bearer","expires_in":100}`))
	path := filepath.Join(t.TempDir(), "people.json")
	if err := os.WriteFile(path, []byte(`{"ada": "very-secret"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		find func(*slog.Logger) (finder, error)
		from string
		of   bool // a token
	}{
		"token": {find: func(logger *slog.Logger) (finder, error) {
			m, err := upstream.NewMinted(upstream.MintedOptions{Minter: s.Minter(), Audience: []string{"https://internal"}})
			return m.Credential(logger), err
		}, of: true},
		"exchange": {find: func(logger *slog.Logger) (finder, error) {
			f, err := upstream.NewFetched(upstream.FetchedOptions{Exchange: upstream.Endpoint{URL: program + "?key=hidden", ClientID: "a"}, Now: s.Clock.Now})
			return f.Credential(logger), err
		}, from: program, of: true},
		"ask": {find: func(logger *slog.Logger) (finder, error) {
			a, err := upstream.NewAsked(upstream.AskedOptions{URL: program, Now: s.Clock.Now})
			return a.Credential(logger), err
		}, from: program, of: true},
		"file": {find: func(logger *slog.Logger) (finder, error) {
			table, err := upstream.NewTable(path, nil, s.Clock.Now, logger)
			return table.Credential, err
		}, from: path},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLogged()
			find, err := c.find(l.Logger)
			if err != nil {
				t.Fatal(err)
			}
			f := &front{}
			f.listen(t, s.NewVerifier(t, func(c *verify.Config) { c.Cache = verify.NewCache(100, c.Now) }), find)
			token := s.Mint(t, tokenep.Claims{Subject: "ada", GrantID: "grant"})
			said, err := s.Verify(t, token)
			if err != nil {
				t.Fatal(err)
			}
			value := f.get(t, token)
			f.get(t, token)
			var line map[string]any
			if err := json.Unmarshal(l.text.Bytes(), &line); err != nil {
				t.Fatalf("%v: the log has %s", err, l.text.String())
			}
			id, _ := line["upstream_credential"].(string)
			if id == "" || len(f.used) != 2 || f.used[0] != id || f.used[1] != id || line["msg"] != upstream.Obtained {
				t.Errorf("requests used %q of %v", f.used, line)
			}
			if from, _ := line["from"].(string); !strings.HasPrefix(from, c.from) || strings.Contains(from, "hidden") {
				t.Errorf("it is from %q", from)
			}
			if c.of != (line["jti"] == said.ID && line["grant_id"] == "grant" && line["sub"] == "ada" && line["client"] == said.ClientID) {
				t.Errorf("the line is %v", line)
			}
			if text := l.text.String(); strings.Contains(text, "secret") || strings.Contains(text, value) {
				t.Errorf("the log has the credential: %s", text)
			}
		})
	}
}

// contexts notes whether a line is of a request.
type contexts struct {
	slog.Handler
	ofRequest *bool
}

type requestKey struct{}

func (c contexts) Handle(ctx context.Context, line slog.Record) error {
	*c.ofRequest = ctx.Value(requestKey{}) != nil
	return c.Handler.Handle(ctx, line)
}

// Whoever has a credential obtained may hang up before it is there. What belongs to the request,
// such as the fields that Caddy's handlers add to its lines, is not touched any more.
func TestLineIsOfNoRequest(t *testing.T) {
	program, _ := elsewhere(t, says(http.StatusOK, `{"credential":"x"}`))
	a, err := upstream.NewAsked(upstream.AskedOptions{URL: program})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	ofRequest := false
	l := newLogged()
	l.Logger = slog.New(contexts{l.Logger.Handler(), &ofRequest})
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), requestKey{}, "fields"), http.MethodGet, "/", nil)
	if _, err := a.Credential(l.Logger)(r, &verify.Token{Subject: "ada"}, ""); err != nil {
		t.Fatal(err)
	}
	if l.text.Len() == 0 || ofRequest {
		t.Errorf("of the request: %t; the log has %s", ofRequest, l.text.String())
	}
}

// The file is another credential when it says something else.
func TestLineOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"alice": "a"}`)
	l := newLogged()
	f := newFront(t, func(now func() time.Time) (finder, error) {
		table, err := upstream.NewTable(path, nil, now, l.Logger)
		return table.Credential, err
	})
	for i, text := range []string{`{"alice": "a"}`, `{"alice": "b"}`, `{"alice": `} {
		write(text)
		f.clock.Advance(2 * time.Second)
		f.get(t, f.issuer.Sign(nil))
		if got := strings.Count(l.text.String(), upstream.Obtained); got != min(i+1, 2) {
			t.Errorf("after %s there are %d lines", text, got)
		}
	}
	if f.used[0] == f.used[1] || f.used[1] != f.used[2] {
		t.Errorf("requests used %q", f.used)
	}
}
