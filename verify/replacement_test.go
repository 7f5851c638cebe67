package verify_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// replacing returns a guard that puts a credential in the place of the token.
func replacing(in verify.Place, name, credential string, err error) *verify.Guard {
	return &verify.Guard{Replace: &verify.Replacement{In: in, Name: name, Credential: func(*http.Request, *verify.Token, string) (verify.Credential, error) {
		return verify.NewCredential(credential, "id of it"), err
	}}}
}

var replacedIssuer = newIssuer()

// admitted returns the request that goes on, or why none does.
func admitted(t *testing.T, g *verify.Guard, lines ...string) (*http.Request, error) {
	t.Helper()
	if g.Verifier == nil {
		g.Verifier = newVerifier(t, replacedIssuer, nil)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+replacedIssuer.Sign(nil))
	for _, line := range lines {
		name, value, header := strings.Cut(line, ": ")
		if header {
			r.Header.Add(name, value)
			continue
		}
		r.URL.RawQuery = line
	}
	_, err := g.Admit(r)
	return r, err
}

// What a client sends under the name of the credential, or under one that an application may read
// as that, does not go on. All else does, as it was.
func TestTwinsOfACredential(t *testing.T) {
	for _, c := range []struct{ name, sent, want string }{
		{"nothing else", "a=1", "a=1&api_key=good"},
		{"the name", "api_key=forged&a=1", "a=1&api_key=good"},
		{"twice", "api_key=forged&a=1&api_key=forged", "a=1&api_key=good"},
		{"without a value", "api_key&a=1", "a=1&api_key=good"},
		{"percent-encoded", "a%70i%5Fkey=forged", "api_key=good"},
		{"case", "API_Key=forged&aPi_keY=forged", "api_key=good"},
		{"percent-encoded, in another case", "%41pi_key=forged", "api_key=good"},
		{"a list (PHP, Rails, qs)", "api_key[]=forged&api_key%5B%5D=forged&api_key[0]=forged", "api_key=good"},
		{"a map (PHP, Rails, qs)", "api_key[x]=forged&api_key[x][y]=forged", "api_key=good"},
		{"a path (Spring, qs)", "api_key.x=forged", "api_key=good"},
		{"a bracket that is not closed (PHP)", "api[key=forged&api_key[=forged", "api_key=good"},
		{"a dot or a space for _ (PHP)", "api.key=forged&api+key=forged&api%20key=forged", "api_key=good"},
		{"a space before (PHP)", "+api_key=forged&%20api_key=forged", "api_key=good"},
		{"NUL (PHP)", "api_key%00x=forged", "api_key=good"},
		{"a hyphen", "api-key=forged", "api_key=good"},
		{"a semicolon for &", "a=1;api_key=forged", "a=1&api_key=good"},
		{"the Kelvin sign", "api_%E2%84%AAey=forged", "api_key=good"},
		{"what is not UTF-8", "api_key%FF=forged", "api_key=good"},
		{"what cannot be decoded", "api%zz=forged&a=1", "a=1&api_key=good"},
		{"another name", "apikey2=1&api_keys=1&my_api_key=1&api=1", "apikey2=1&api_keys=1&my_api_key=1&api=1&api_key=good"},
	} {
		t.Run("query/"+c.name, func(t *testing.T) {
			r, err := admitted(t, replacing(verify.InQuery, "api_key", "good", nil), c.sent)
			if err != nil || r.URL.RawQuery != c.want || r.RequestURI != "/?"+c.want {
				t.Errorf("%s has become %s (%s), %v", c.sent, r.URL.RawQuery, r.RequestURI, err)
			}
		})
	}
	for _, c := range []struct{ name, sent, want string }{
		{"nothing else", "a=1", "session=good; a=1"},
		{"the name", "a=1; session=forged; b=2", "session=good; a=1; b=2"},
		{"twice", "session=forged; session=forged", "session=good"},
		{"without a value", "session; a=1", "session=good; a=1"},
		{"case", "Session=forged; a=1; SESSION=forged", "session=good; a=1"},
		{"white space", "a=1; \t session \t=forged", "session=good; a=1"},
		{"percent-encoded (PHP before 8)", "sess%69on=forged; a=1", "session=good; a=1"},
		{"a list or a map (PHP)", "session[]=forged; session[x]=forged; session.x=forged; session%5B%5D=forged", "session=good"},
		{"a cookie without a name", "=session=forged; a=1", "session=good; a=1"},
		{"a comma for ; (RFC 2965)", "a=1, session=forged; b=2", "session=good; b=2"},
		{"a comma in a value", "a=1,session; b=2", "session=good; a=1,session; b=2"},
		{"quotes that are left open", `a="1; b=2`, `session=good; a="1; b=2`},
		{"other names", "sessions=1; my_session=2; __Host-session=3", "session=good; sessions=1; my_session=2; __Host-session=3"},
	} {
		t.Run("cookie/"+c.name, func(t *testing.T) {
			r, err := admitted(t, replacing(verify.InCookie, "session", "good", nil), "Cookie: "+c.sent, "Cookie: Session=forged")
			if got := strings.Join(r.Header["Cookie"], "|"); err != nil || got != c.want {
				t.Errorf("%s has become %s, %v", c.sent, got, err)
			}
		})
	}
	r, err := admitted(t, replacing(verify.InCookie, "session", "good", nil), "Connection: close, cookie")
	if got := r.Header.Get("Connection"); err != nil || got != "close" {
		t.Errorf("Connection: %q, %v", got, err)
	}
	for _, name := range []string{"X-Api-Key", "X_Api_Key", "x.api.key", "XApiKey"} {
		t.Run("header/"+name, func(t *testing.T) {
			r, err := admitted(t, replacing(verify.InHeader, "x-api-key", "good", nil), name+": forged")
			if got := r.Header; err != nil || got.Get("X-Api-Key") != "good" || len(got) != 1 {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// A request without a token gets no credential, and brings none either.
func TestNobodyGetsACredential(t *testing.T) {
	for _, in := range []verify.Place{verify.InHeader, verify.InCookie, verify.InQuery} {
		for _, optional := range []bool{true, false} {
			g := replacing(in, "key", "good", nil)
			g.Verifier, g.Optional, g.Preflight = newVerifier(t, newIssuer(), nil), optional, !optional
			r := httptest.NewRequest("OPTIONS", "/?key=forged&KEY=forged", nil)
			r.Header = http.Header{"Cookie": {"key=forged; Key=forged"}, "Key": {"forged"}, "Origin": {"https://a.example"}, "Access-Control-Request-Method": {"GET"}}
			if _, err := g.Admit(r); err != nil {
				t.Fatal(err)
			}
			got := map[verify.Place]string{verify.InHeader: r.Header.Get("Key"), verify.InCookie: r.Header.Get("Cookie"), verify.InQuery: r.URL.RawQuery}
			if got[in] != "" {
				t.Errorf("%s: %q", in, got[in])
			}
		}
	}
}

// RFC 9110 §9.3.8: a credential does not go where the answer would show it to the client.
func TestNobodySeesACredential(t *testing.T) {
	issuer := newIssuer()
	for method, want := range map[string]int{"GET": 200, "TRACE": 403, "trace": 403, "TRACK": 403} {
		for _, in := range []verify.Place{verify.InHeader, verify.InCookie, verify.InQuery} {
			f := newFront(t, issuer, replacing(in, "key", "good", nil))
			got := f.raw(t, method+" / HTTP/1.1\nHost: x\nAuthorization: Bearer TOKEN\n\n")
			if got.StatusCode != want || strings.Contains(got.body, "good") != (want == 200) {
				t.Errorf("%s, %s: %d %s", method, in, got.StatusCode, got.body)
			}
		}
		if got := newFront(t, issuer, &verify.Guard{}).raw(t, method+" / HTTP/1.1\nHost: x\nAuthorization: Bearer TOKEN\n\n"); got.StatusCode != 200 {
			t.Errorf("%s, without a credential: %d", method, got.StatusCode)
		}
	}
}

// Whoever prints a credential, or writes it down, has its id at most.
func TestNoLogHasACredential(t *testing.T) {
	c := verify.NewCredential("good", "id")
	asJSON, err := json.Marshal([]any{c})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{string(asJSON), fmt.Sprintf("%v %+v %#v %s %q %x", c, &c, c, c, c, c), fmt.Sprintf("%#v %v", struct{ Found any }{c}, []any{c})} {
		if strings.Contains(got, "good") || strings.Contains(got, hex.EncodeToString([]byte("good"))) {
			t.Error(got)
		}
	}
}

// Where a token goes on, what an application may take for it does not.
func TestTwinsOfAToken(t *testing.T) {
	issuer := newIssuer()
	token := issuer.Sign(nil)
	g := &verify.Guard{Verifier: newVerifier(t, issuer, nil), KeepAuthorization: true, TokenCookies: []string{"session"}, InsecureQueryToken: true}
	for _, c := range []struct{ cookie, query, keptCookie, keptQuery string }{
		{"Session=forged; session=TOKEN; session[]=forged; a=1", "a=1", " session=TOKEN; a=1", "a=1"},
		{"a=1", "Access_Token=forged&access_token=TOKEN&access_token[]=forged", "a=1", "access_token=TOKEN"},
	} {
		r := httptest.NewRequest("GET", "/?"+strings.ReplaceAll(c.query, "TOKEN", token), nil)
		r.Header.Set("Cookie", strings.ReplaceAll(c.cookie, "TOKEN", token))
		if _, err := g.Admit(r); err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(r.Header.Get("Cookie"), token, "TOKEN"); got != strings.TrimSpace(c.keptCookie) {
			t.Errorf("%s has become %s", c.cookie, got)
		}
		if got := strings.ReplaceAll(r.URL.RawQuery, token, "TOKEN"); got != c.keptQuery {
			t.Errorf("%s has become %s", c.query, got)
		}
	}
}

// A credential that is something else where it goes is an error of ours, and does not go there.
func TestCredentialsThatDoNotFit(t *testing.T) {
	for _, c := range []struct {
		credential string
		in         []verify.Place // where it fits
	}{
		{"good", []verify.Place{verify.InHeader, verify.InCookie, verify.InQuery}},
		{"", nil},
		{" a", nil},
		{"a ", nil},
		{"two words", []verify.Place{verify.InHeader, verify.InQuery}},
		{"a;b", []verify.Place{verify.InHeader, verify.InQuery}},
		{"a,b", []verify.Place{verify.InHeader, verify.InQuery}},
		{`a"b`, []verify.Place{verify.InHeader, verify.InQuery}},
		{`a\b`, []verify.Place{verify.InHeader, verify.InQuery}},
		{"a=&%b", []verify.Place{verify.InHeader, verify.InCookie, verify.InQuery}},
		{"sixteen letters\x7f", []verify.Place{verify.InQuery}},
		{"a\r\nX: 1", []verify.Place{verify.InQuery}},
		{"a\x00b", []verify.Place{verify.InQuery}},
		{"nine letters, then ä", []verify.Place{verify.InQuery}},
		{"~~~~~~~~~~~~~~~~ to the end", []verify.Place{verify.InHeader, verify.InQuery}},
	} {
		for _, in := range []verify.Place{verify.InHeader, verify.InCookie, verify.InQuery} {
			fits := false
			for _, place := range c.in {
				fits = fits || place == in
			}
			g, used := replacing(in, "key", c.credential, nil), ""
			g.Replace.Used = func(_ *http.Request, id string) { used += id }
			r, err := admitted(t, g)
			if (used == "id of it") != fits || !fits && used != "" {
				t.Errorf("%q in a %s: a request is told to go on with %q", c.credential, in, used)
			}
			refusal, _ := errors.AsType[*verify.Error](err)
			if fits != (err == nil) || !fits && (refusal.Status != http.StatusBadGateway || len(r.Header)+len(r.URL.RawQuery) > 0) {
				t.Errorf("%q in a %s: %v, %v", c.credential, in, err, r.Header)
			}
			if got, _ := url.ParseQuery(r.URL.RawQuery); fits && in == verify.InQuery && got.Get("key") != c.credential {
				t.Errorf("%q has become %q", c.credential, r.URL.RawQuery)
			}
		}
	}
}

// Each byte is judged wherever it is in a long credential.
func TestEachByteOfACredential(t *testing.T) {
	g := replacing(verify.InHeader, "key", "", nil)
	credential := ""
	g.Replace.Credential = func(*http.Request, *verify.Token, string) (verify.Credential, error) {
		return verify.NewCredential(credential, ""), nil
	}
	for at := 1; at < 18; at++ {
		for c := range 256 {
			text := []byte(strings.Repeat("x", 19))
			text[at] = byte(c)
			credential = string(text)
			if _, err := admitted(t, g); (err == nil) != (c >= ' ' && c <= '~') {
				t.Fatalf("%q: %v", credential, err)
			}
		}
	}
}

// An error of who knows the credential is the answer.
func TestCredentialsThatAreNotThere(t *testing.T) {
	away := &verify.Error{Status: http.StatusServiceUnavailable}
	r, err := admitted(t, replacing(verify.InHeader, "key", "good", away))
	if refusal, _ := errors.AsType[*verify.Error](err); refusal == nil || refusal.Status != away.Status || len(r.Header) > 0 {
		t.Errorf("%v, %v", err, r.Header)
	}
}

// A credential is found when all else is good, the headers of claims included, which it may be made
// of. Without one, none of them goes on.
func TestCredentialsAreFoundLast(t *testing.T) {
	asked := 0
	g := replacing(verify.InHeader, "key", "", nil)
	g.Replace.Credential = func(r *http.Request, t *verify.Token, _ string) (c verify.Credential, err error) {
		if asked++; t.Subject == "eve" {
			return c, errors.New("she has none")
		}
		return verify.NewCredential("key of "+r.Header.Get("X-User"), ""), nil
	}
	g.Verifier = newVerifier(t, replacedIssuer, nil)
	g.Headers = []verify.HeaderClaim{{Header: "X-User", Claim: verify.ClaimPath{"sub"}}, {Header: "X-Name", Claim: verify.ClaimPath{"name"}}}
	for _, row := range []struct {
		claims verifytest.Claims
		asked  int
		want   string
	}{
		{verifytest.Claims{"sub": "ada", "name": "Ada"}, 1, "key of ada"},
		{verifytest.Claims{"sub": "eve", "name": "Eve"}, 1, ""},
		{verifytest.Claims{"sub": "ada", "name": "a\nb"}, 0, ""},
	} {
		asked = 0
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+replacedIssuer.Sign(row.claims))
		_, err := g.Admit(r)
		if asked != row.asked || r.Header.Get("Key") != row.want || (err == nil) != (row.want != "") || err != nil && len(r.Header) > 0 {
			t.Errorf("%v: asked %d times, %v, %v", row.claims, asked, err, r.Header)
		}
	}
}

// What cannot be right is refused at load.
func TestReplacementsThatAreNoGood(t *testing.T) {
	for name, g := range map[string]*verify.Guard{
		"no credential":      {Replace: &verify.Replacement{In: verify.InHeader, Name: "key"}},
		"no place":           replacing("", "key", "good", nil),
		"a place of nowhere": replacing("body", "key", "good", nil),
		"no name":            replacing(verify.InQuery, "", "good", nil),
		"no header":          replacing(verify.InHeader, "a key", "good", nil),
		"no cookie":          replacing(verify.InCookie, "a=b", "good", nil),
		"the frame":          replacing(verify.InHeader, "Content_Length", "good", nil),
	} {
		g.Verifier = newVerifier(t, newIssuer(), nil)
		if err := g.Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	g := replacing(verify.InHeader, "key", "good", nil)
	g.Verifier, g.KeepAuthorization = newVerifier(t, newIssuer(), nil), true
	if err := g.Validate(); err == nil {
		t.Error("kept and replaced: accepted")
	}
}
