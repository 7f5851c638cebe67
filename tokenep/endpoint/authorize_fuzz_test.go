package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// Whatever a request says, nobody is redirected but to a redirect URI that its client has
// registered, there is no code before the user has decided, and nothing is written.
func FuzzAuthorize(f *testing.F) {
	s := tokeneptest.New(f, tokeneptest.WithPeople)
	for _, client := range []string{"site", "native"} {
		_, query, _ := strings.Cut(authorize(client).Path, "?")
		f.Add(query, "")
		f.Add(query+"&redirect_uri=https://evil.example", query)
		f.Add("", query+"&prompt=none&max_age=1&response_mode=form_post")
		f.Add(query+"&request_uri=urn:a&resource=https://api.example/orders&resource=x", "page=AAAA&decision=allow")
	}
	registered := map[string][]string{"site": {tokeneptest.Callback}, "native": {"http://127.0.0.1/callback"}}
	f.Fuzz(func(t *testing.T, query, form string) {
		method, sent := http.MethodGet, query
		if form != "" {
			method, sent = http.MethodPost, form
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://as.example"+authorizePath, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(tokeneptest.UserHeader, "alice")
		before := s.Store.Writes()
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		if n := s.Store.Writes() - before; n != 0 {
			t.Errorf("%d records were written", n)
		}
		if w.Code == http.StatusInternalServerError {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		to := w.Header().Get("Location")
		if (to != "") != (w.Code == http.StatusSeeOther) {
			t.Fatalf("%d %s", w.Code, to)
		}
		if to == "" {
			return
		}
		parameters, err := url.ParseQuery(sent)
		if err != nil {
			t.Fatalf("%q is no form, and leads to %s", sent, to)
		}
		uris := registered[parameters.Get("client_id")]
		base, answer, _ := strings.Cut(to, "?")
		if !strings.HasPrefix(answer, "error=") || len(uris) != 1 || base != uris[0] && withoutPort(base) != uris[0] {
			t.Errorf("%q leads to %s", sent, to)
		}
	})
}

// withoutPort takes the port out of a redirect URI to 127.0.0.1.
func withoutPort(uri string) string {
	rest, loopback := strings.CutPrefix(uri, "http://127.0.0.1:")
	if !loopback {
		return uri
	}
	return "http://127.0.0.1" + strings.TrimLeft(rest, "0123456789")
}

// No text but one that was sealed is read as a page: a change of it, wherever, makes it none.
func FuzzSealedPage(f *testing.F) {
	s := tokeneptest.New(f, tokeneptest.WithPeople)
	form := s.Consent(f, authorize("site"), "allow")
	values, err := url.ParseQuery(form.Body)
	if err != nil {
		f.Fatal(err)
	}
	sealed := values.Get("page")
	f.Add(sealed)
	f.Add(sealed[:len(sealed)-1])
	f.Add(sealed + "A")
	f.Add(strings.ToLower(sealed))
	f.Add(sealed[:9] + "\n" + sealed[9:])
	f.Fuzz(func(t *testing.T, page string) {
		changed := form
		changed.Body = url.Values{"page": {page}, "decision": {"deny"}}.Encode()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://as.example"+authorizePath, strings.NewReader(changed.Body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = form.Header
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		if good := w.Code == http.StatusSeeOther; good != (page == sealed) {
			t.Errorf("%q: %d", page, w.Code)
		}
	})
}
