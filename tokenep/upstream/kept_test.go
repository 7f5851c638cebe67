package upstream_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/upstream"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// tokenFor answers an exchange with a token that names the one presented.
func tokenFor(w http.ResponseWriter, r *http.Request) {
	subject := r.PostFormValue("subject_token")
	_, _ = io.WriteString(w, `{"access_token":"for-`+subject[len(subject)-20:]+`","token_type":"Bearer","expires_in":100}`)
}

// A table that is too small for those who come at once costs more requests, and confuses nobody.
func TestFullTable(t *testing.T) {
	url, _ := elsewhere(t, tokenFor)
	f := newFront(t, exchanged(upstream.FetchedOptions{Entries: 2, Exchange: upstream.Endpoint{URL: url, ClientID: "a"}}))
	tokens := make([]string, 16)
	for i := range tokens {
		tokens[i] = f.issuer.Sign(verifytest.Claims{"sub": fmt.Sprint(i)})
	}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 40 {
				token := tokens[(worker+i)%len(tokens)]
				if got := f.get(t, token); got != "for-"+token[len(token)-20:] {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	all.Wait()
}

// What is remembered of a token that its verifier has forgotten is the credential alone.
func TestTokensAreNotHeld(t *testing.T) {
	url, _ := elsewhere(t, tokenFor)
	find, err := exchanged(upstream.FetchedOptions{Exchange: upstream.Endpoint{URL: url, ClientID: "a"}})(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	issuer := verifytest.New("https://issuer.example", "https://api.example")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	memory := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := memory()
	for i := range 500 {
		raw := issuer.Sign(verifytest.Claims{"n": i, "x": slices.Repeat([]map[string]any{{"a": 1}}, 400)})
		token, err := issuer.Verifier().Verify(t.Context(), verify.Presentation{Token: raw})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := find(r, token, raw); err != nil {
			t.Fatal(err)
		}
	}
	if held := memory() - before; held > 16<<20 { // of 75
		t.Errorf("%d MiB are held", held>>20)
	}
	runtime.KeepAlive(find)
}

// A form that panics is a fault of one request, and nobody gets anything.
func TestPanic(t *testing.T) {
	url, asked := elsewhere(t, tokenFor)
	panics := true
	f := newFront(t, exchanged(upstream.FetchedOptions{Exchange: upstream.Endpoint{URL: url, ClientID: "a"}, Form: func(text string) (string, error) {
		if panics {
			panic("boom")
		}
		return text, nil
	}}))
	token := f.issuer.Sign(nil)
	if got := f.get(t, token); got != "503" {
		t.Errorf("got %q", got)
	}
	panics = false
	if got := f.get(t, token); got != "for-"+token[len(token)-20:] || asked.Load() != 2 {
		t.Errorf("then got %q, after %d exchanges", got, asked.Load())
	}
}

// A token that is let in by the leeway is exchanged once, too, whether it was before or not.
func TestExchangeWithinTheLeeway(t *testing.T) {
	url, asked := elsewhere(t, tokenFor)
	f := newFront(t, exchanged(upstream.FetchedOptions{Exchange: upstream.Endpoint{URL: url, ClientID: "a"}}))
	exp := verifytest.Claims{"exp": f.clock.Now().Add(10 * time.Second).Unix()}
	before, after := f.issuer.Sign(exp), f.issuer.Sign(exp)
	f.get(t, before)
	f.clock.Advance(15 * time.Second)
	for range 3 {
		for _, token := range []string{before, after} {
			if got := f.get(t, token); got != "for-"+token[len(token)-20:] {
				t.Errorf("got %q", got)
			}
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("%d exchanges for two tokens", n)
	}
}

// RFC 9068 §2.2 has sub in each token, and other issuers do not: those tokens are about nobody, and
// share no credential. Nobody is asked about them.
func TestTokensAboutNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.json")
	if err := os.WriteFile(path, []byte(`{"alice": "key of alice", "null": "key of null"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	url, asked := elsewhere(t, says(http.StatusOK, `{"credential":"key of somebody"}`))
	for name, credential := range map[string]func(func() time.Time) (finder, error){
		"file": func(now func() time.Time) (finder, error) {
			table, err := upstream.NewTable(path, nil, now, nil)
			return table.Credential, err
		},
		"ask": func(now func() time.Time) (finder, error) {
			a, err := upstream.NewAsked(upstream.AskedOptions{URL: url, Now: now})
			return a.Credential(nil), err
		},
	} {
		f := newFront(t, credential, func(i *verify.TrustedIssuer) { i.Profile = verify.ProfileJWT })
		for _, sub := range []any{nil, "", 7, []string{"alice"}, map[string]any{"alice": 1}} {
			for _, client := range []string{"one", "two"} {
				token := f.issuer.Sign(verifytest.Claims{"sub": sub, "client_id": client})
				if got := f.get(t, token); got != "403" && got != "401" {
					t.Errorf("%s: sub %v got %q", name, sub, got)
				}
			}
		}
		if got := f.get(t, f.issuer.Sign(nil)); got == "403" {
			t.Errorf("%s: alice got %q", name, got)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
