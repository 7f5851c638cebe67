package verify_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 6750 §2.3 and §2: a token is in one place.
func TestGuardQueryToken(t *testing.T) {
	issuer := newIssuer()
	off := newFront(t, issuer, &verify.Guard{})
	on := newFront(t, issuer, &verify.Guard{InsecureQueryToken: true})
	const header = "Authorization: Bearer TOKEN\n"
	for _, c := range []struct {
		name   string
		f      front
		query  string
		lines  string
		status int
		code   string
		uri    string // towards the upstream
	}{
		{"165 off by default", off, "?access_token=TOKEN", "", 401, "", ""},
		{"165 in header and query, query off", off, "?access_token=TOKEN", header, 400, verify.InvalidRequest, ""},
		{"165 in header and encoded query, query off", off, "?x&%61ccess_token=TOKEN", header, 400, verify.InvalidRequest, ""},
		{"165 in header and behind a semicolon, query off", off, "?x;access_token=TOKEN", header, 400, verify.InvalidRequest, ""},
		{"another query beside the header", off, "?a=1;b&c=%zz", header, 200, "", "/orders?a=1;b&c=%zz"},
		{"RFC 6750 §2.3 brackets are another name", off, "?access_token[]=x", header, 200, "", "/orders?access_token[]=x"},

		{"on", on, "?access_token=TOKEN", "", 200, "", "/orders"},
		{"the rest of the query stays", on, "?a=%20b&access_token=TOKEN&c;d", "", 200, "", "/orders?a=%20b&c;d"},
		{"RFC 6750 §2.3 encoded name", on, "?%61ccess_token=TOKEN", "", 200, "", "/orders"},
		{"RFC 6750 §2 header and query", on, "?access_token=TOKEN", header, 400, verify.InvalidRequest, ""},
		{"RFC 6750 §2.3 repeated", on, "?access_token=TOKEN&access_token=TOKEN", "", 400, verify.InvalidRequest, ""},
		{"RFC 6750 §2.3 brackets", on, "?access_token[]=TOKEN", "", 401, "", ""},
		{"RFC 6750 §2.3 semicolon", on, "?a=b;access_token=TOKEN", "", 400, verify.InvalidRequest, ""},
		{"RFC 6750 §2.3 semicolon after", on, "?access_token=TOKEN;a=b", "", 400, verify.InvalidRequest, ""},
		{"RFC 7515 §2 line feed in the token", on, "?access_token=TOKEN%0A", "", 400, verify.InvalidRequest, ""},
		{"empty", on, "?access_token=", "", 400, verify.InvalidRequest, ""},
		{"bad token", on, "?access_token=junk", "", 401, verify.InvalidToken, ""},
		{"header still works", on, "?a=b", header, 200, "", "/orders?a=b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.f.raw(t, "GET /orders"+c.query+" HTTP/1.1\nHost: x\n"+c.lines+"\n")
			cache := got.Header.Get("Cache-Control")
			if asks := c.f == on && strings.Contains(c.query, "ccess_token=") && cache != "private, no-store"; asks {
				t.Errorf("Cache-Control %q", cache) // RFC 6750 §2.3
			}
			if got.StatusCode != c.status {
				t.Fatalf("status %d, want %d", got.StatusCode, c.status)
			}
			if c.status == 200 {
				if uri := got.seen(t).URI; uri != c.uri {
					t.Errorf("upstream got %s, want %s", uri, c.uri)
				}
				return
			}
			got.Header.Set("Cache-Control", "no-store")
			got.refused(t, c.status, c.code)
		})
	}
}

// KeepAuthorization passes the token on where the client put it.
func TestGuardKeepAuthorization(t *testing.T) {
	f := newFront(t, newIssuer(), &verify.Guard{KeepAuthorization: true, InsecureQueryToken: true})
	if s := f.raw(t, get+"Authorization: Bearer TOKEN\nAuthorization_: x\n\n").seen(t); !strings.HasPrefix(s.Header.Get("Authorization"), "Bearer ey") || s.Header["Authorization_"] != nil {
		t.Errorf("upstream got %v", s.Header)
	}
	if s := f.raw(t, "GET /?access_token=TOKEN HTTP/1.1\nHost: x\n\n").seen(t); !strings.HasPrefix(s.URI, "/?access_token=ey") {
		t.Errorf("upstream got %v", s.URI)
	}
}

// KeepAuthorization passes on what carried the token that was verified, and no other credential in
// the places of tokens, which an application may read first.
func TestGuardKeepsWhatWasVerified(t *testing.T) {
	issuer := newIssuer()
	token := issuer.Sign(nil)
	const cookie, header = "Cookie: session=TOKEN; a=1", "X-Access-Token: Token TOKEN"
	for name, row := range map[string]struct {
		optional   bool
		sent, want []string
	}{
		"Authorization":        {sent: []string{"Authorization: Bearer TOKEN", "Cookie: session=; a=1"}, want: []string{"Authorization: Bearer TOKEN", "Cookie: a=1"}},
		"cookie and DPoP":      {sent: []string{cookie, "Authorization: DPoP forged"}, want: []string{cookie}},
		"cookie and Token":     {sent: []string{cookie, "Authorization: Token forged"}, want: []string{cookie}},
		"cookie and Basic":     {sent: []string{cookie, "Authorization: Basic forged"}, want: []string{cookie}},
		"cookie and Bearer:":   {sent: []string{cookie, "Authorization: Bearer: forged"}, want: []string{cookie}},
		"cookie and a header":  {sent: []string{cookie, "X-Access-Token: Other forged"}, want: []string{cookie}},
		"header and Basic":     {sent: []string{header, "Authorization: Basic forged"}, want: []string{header}},
		"Authorization beside": {sent: []string{"Authorization: Bearer TOKEN", "X-Access-Token: Other forged"}, want: []string{"Authorization: Bearer TOKEN"}},
		"no token":             {true, []string{"Authorization: DPoP forged", "X-Access-Token: Other forged", "Cookie: a=1", "Dpop: forged"}, []string{"Cookie: a=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := &verify.Guard{Verifier: issuer.Verifier(), KeepAuthorization: true, Optional: row.optional, TokenCookies: []string{"session"},
				TokenHeaders: []verify.TokenHeader{{Name: "X-Access-Token", Scheme: "Token"}}}
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			for _, line := range row.sent {
				name, value, _ := strings.Cut(line, ": ")
				r.Header.Set(name, strings.ReplaceAll(value, "TOKEN", token))
			}
			if _, err := g.Admit(r); err != nil {
				t.Fatal(err)
			}
			var got []string
			for name := range r.Header {
				got = append(got, name+": "+strings.ReplaceAll(r.Header.Get(name), token, "TOKEN"))
			}
			if slices.Sort(got); !slices.Equal(got, row.want) {
				t.Errorf("the upstream gets %q, want %q", got, row.want)
			}
		})
	}
}

// What an earlier handler has parsed keeps no token either.
func TestGuardHidesAParsedToken(t *testing.T) {
	issuer := newIssuer()
	g := &verify.Guard{Verifier: issuer.Verifier(), InsecureQueryToken: true}
	guarded := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.FormValue("access_token"), r.FormValue("a"))
	}))
	server := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		guarded.ServeHTTP(w, r)
	}))
	response, err := server.Client().Get(server.URL + "?a=b&access_token=" + issuer.Sign(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK || string(body) != "b" {
		t.Errorf("%d %q, want b alone", response.StatusCode, body)
	}
}

// A response that never calls WriteHeader, and one that only flushes, are private too.
func TestGuardPrivateWithoutWriteHeader(t *testing.T) {
	issuer := newIssuer()
	for name, next := range map[string]http.HandlerFunc{
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"flush": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "public")
			_ = http.NewResponseController(w).Flush()
		},
		"Flusher": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "public")
			w.(http.Flusher).Flush()
		},
		"write": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "public")
			_, _ = w.Write([]byte("x"))
		},
		"write after early hints": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Cache-Control", "public")
			_, _ = w.Write([]byte("x"))
		},
		"early hints first": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Cache-Control", "public")
			w.WriteHeader(http.StatusNoContent)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := &verify.Guard{Verifier: issuer.Verifier(), InsecureQueryToken: true}
			server := newServer(t, g.Handler(next))
			response, err := server.Client().Get(server.URL + "?access_token=" + issuer.Sign(nil))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if got := response.Header.Values("Cache-Control"); len(got) != 1 || got[0] != "private, no-store" {
				t.Errorf("Cache-Control %q", got)
			}
		})
	}
}

// RFC 6750 §2: a token in two places is refused, wherever the guard takes tokens from. The query is
// one of the places even where it takes none from there; the form is not.
func TestGuardTwoPlaces(t *testing.T) {
	issuer := newIssuer()
	for _, c := range []struct {
		name    string
		guard   *verify.Guard
		refused string // combinations of header, query and form
	}{
		{"both on", &verify.Guard{FormToken: true, InsecureQueryToken: true}, "hq hf qf hqf"},
		{"form on", &verify.Guard{FormToken: true}, "hq hf qf hqf"},
		{"query on", &verify.Guard{InsecureQueryToken: true}, "hq hqf"},
		{"both off", &verify.Guard{}, "hq hqf"},
		{"optional, form on", &verify.Guard{FormToken: true, Optional: true}, "hq hf qf hqf"},
	} {
		f := newFront(t, issuer, c.guard)
		for _, places := range []string{"hq", "hf", "qf", "hqf"} {
			var request bytes.Buffer
			request.WriteString("POST /")
			if strings.Contains(places, "q") {
				request.WriteString("?access_token=TOKEN")
			}
			request.WriteString(" HTTP/1.1\nHost: x\nContent-Type: application/x-www-form-urlencoded\n")
			if strings.Contains(places, "h") {
				request.WriteString("Authorization: Bearer TOKEN\n")
			}
			body := "a=b"
			if strings.Contains(places, "f") {
				body = "access_token=" + issuer.Sign(nil)
			}
			fmt.Fprintf(&request, "Content-Length: %d\n\n%s", len(body), body)
			want := slices.Contains(strings.Fields(c.refused), places)
			if got := f.raw(t, request.String()); (got.StatusCode == http.StatusBadRequest) != want {
				t.Errorf("%s, %s: status %d", c.name, places, got.StatusCode)
			}
		}
	}
}

// The query counts under any name that PHP makes access_token of.
func TestGuardSecondTokenForPHP(t *testing.T) {
	issuer := newIssuer()
	f := newFront(t, issuer, &verify.Guard{InsecureQueryToken: true})
	for query, status := range map[string]int{
		"access.token=x": 400, "%20access_token=x": 400, "access+token=x": 400, "access_token%00=x": 400, "access-token=x": 200,
	} {
		if got := f.raw(t, "GET /?"+query+" HTTP/1.1\nHost: x\nAuthorization: Bearer TOKEN\n\n"); got.StatusCode != status {
			t.Errorf("%s: status %d, want %d", query, got.StatusCode, status)
		}
		if got := f.raw(t, "GET /?access_token=TOKEN&"+query+" HTTP/1.1\nHost: x\n\n"); got.StatusCode != status {
			t.Errorf("%s in the query alone: status %d, want %d", query, got.StatusCode, status)
		}
	}
}
