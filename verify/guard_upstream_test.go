package verify_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

func newServer(tb testing.TB, h http.Handler) *httptest.Server {
	tb.Helper()
	server := httptest.NewServer(h)
	tb.Cleanup(server.Close)
	return server
}

var identity = []verify.HeaderClaim{{Header: "x-user-id", Claim: verify.ClaimPath{"sub"}}, {Header: "X-Roles", Claim: verify.ClaimPath{"realm", "roles"}}}

// The client cannot set the identity headers.
func TestGuardProtectedHeaders(t *testing.T) {
	f := newFront(t, newIssuer(), &verify.Guard{Headers: identity, Strip: []string{"X-Internal"}})
	for _, c := range []struct{ name, lines, user string }{
		{"nothing sent", "", "alice"},
		{"one line", "X-User-Id: admin\n", "alice"},
		{"many lines", "X-User-Id: a\nx-user-id: b\nX-USER-ID: c\n", "alice"},
		{"a claim that the token lacks", "X-Roles: admin\n", "alice"},
		{"RFC 3875 §4.1.18 underscore", "X_User_Id: admin\nX_Roles: admin\n", "alice"},
		{"RFC 3875 §4.1.18 dot", "X.User.Id: admin\nX.Roles: admin\n", "alice"},
		{"RFC 3875 §4.1.18 case", "x-user-ID: admin\nx-rOLES: admin\n", "alice"},
		{"RFC 3875 §4.1.18 mixed and doubled", "X_User.Id: admin\nX--Roles: admin\n_X-Roles: admin\n", "alice"},
		{"other characters of a token", "X!User~Id: admin\nX*Roles: admin\n", "alice"},
		{"another method", "X-HTTP-Method-Override: admin\nX_HTTP_Method: admin\nX-Method-Override: admin\n", "alice"},
		{"another path", "X-Original-URL: admin\nX_Rewrite_URL: admin\n", "alice"},
		{"listed in Strip", "X_Internal: admin\n", "alice"},
		{"named by Connection", "Connection: X-User-Id, X-Roles, close\n", "alice"},
		{"named by Connection in other spellings", "Connection: close\nConnection: x_user_id,X-USER-ID\n", "alice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := f.raw(t, get+"X-Users: keep\n"+c.lines+"Authorization: Bearer TOKEN\n\n").seen(t)
			if got := s.Header["X-User-Id"]; !slices.Equal(got, []string{c.user}) {
				t.Errorf("X-User-Id %q", got)
			}
			for name, values := range s.Header {
				if slices.ContainsFunc(values, func(v string) bool { return v == "admin" || v == "a" }) {
					t.Errorf("%s: %q reached the upstream", name, values)
				}
			}
			if s.Header.Get("X-Users") != "keep" {
				t.Error("a header that is not protected is gone")
			}
			if s.Header["Authorization"] != nil {
				t.Error("the token reached the upstream")
			}
		})
	}
}

// An error handler gets neither forged headers nor the token.
func TestGuardStrippedOnRefusal(t *testing.T) {
	issuer := newIssuer()
	g := &verify.Guard{Verifier: issuer.Verifier(), Headers: identity, InsecureQueryToken: true, KeepAuthorization: true,
		Scope: verify.Scope{"read"}}
	for name, authorization := range map[string][]string{
		"no token":         nil,
		"malformed":        {"Bearer a b"},
		"two headers":      {"Bearer a", "Bearer a"},
		"bad token":        {"Bearer junk"},
		"too little scope": {"Bearer " + issuer.Sign(nil)},
	} {
		r := httptest.NewRequest("GET", "/?access_token=", nil)
		r.Header["Authorization"] = authorization
		if authorization != nil {
			r.URL.RawQuery = ""
		}
		r.Header.Set("X_User-Id", "admin")
		r.Header.Set("Connection", "X-User-Id")
		token, err := g.Admit(r)
		var refusal *verify.Error
		if token != nil || !errors.As(err, &refusal) {
			t.Fatalf("%s: admitted, error %v", name, err)
		}
		if len(r.Header) != 0 || r.URL.RawQuery != "" {
			t.Errorf("%s: %v %s is left", name, r.Header, r.URL)
		}
	}
}

// RFC 9110 §5.5: a claim that a header cannot carry is refused; nothing is split or dropped.
func TestGuardUnfitClaims(t *testing.T) {
	issuer := newIssuer()
	f := newFront(t, issuer, &verify.Guard{Headers: []verify.HeaderClaim{{Header: "X-Name", Claim: verify.ClaimPath{"name"}}, {Header: "X-Roles", Claim: verify.ClaimPath{"realm", "roles"}}}})
	for _, c := range []struct {
		name   string
		claims verifytest.Claims
		want   []string // X-Name, X-Roles; nil = refused
	}{
		{"both", verifytest.Claims{"name": "a", "realm": map[string]any{"roles": []any{"x", 7, true}}}, []string{"a", "x,7,true"}},
		{"neither", nil, []string{"", ""}},
		{"realm is no object", verifytest.Claims{"realm": "roles"}, []string{"", ""}},
		{"RFC 9110 §5.5 CR LF", verifytest.Claims{"name": "a\r\nX-Roles: admin"}, nil},
		{"RFC 9110 §5.5 NUL", verifytest.Claims{"name": "a\x00"}, nil},
		{"RFC 9110 §5.5 DEL", verifytest.Claims{"name": "a\x7f"}, nil},
		{"RFC 9110 §5.5 not ASCII", verifytest.Claims{"name": "Zoë"}, nil},
		{"RFC 9110 §5.5 trailing space", verifytest.Claims{"name": "a "}, nil},
		{"RFC 9110 §5.5 too long", verifytest.Claims{"name": strings.Repeat("a", 5000)}, nil},
		{"second claim unfit", verifytest.Claims{"name": "a", "realm": map[string]any{"roles": map[string]any{}}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := rawTo(t, f.Listener.Addr().String(), "GET / HTTP/1.1\r\nHost: x\r\nX-Roles: forged\r\nAuthorization: Bearer "+issuer.Sign(c.claims)+"\r\n\r\n")
			if c.want == nil {
				got.refused(t, http.StatusUnauthorized, verify.InvalidToken)
				return
			}
			h := got.seen(t).Header
			if h.Get("X-Name") != c.want[0] || h.Get("X-Roles") != c.want[1] || len(h["X-Name"]) > 1 || len(h["X-Roles"]) > 1 {
				t.Errorf("upstream got %v", h)
			}
		})
	}
}

// RFC 9110 §6.5: trailers, announced or not, over both versions of HTTP.
func TestGuardTrailers(t *testing.T) {
	issuer := newIssuer()
	g := &verify.Guard{Verifier: issuer.Verifier(), Headers: identity}
	trailers := make(chan http.Header, 1)
	record := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		trailers <- r.Trailer.Clone()
	}))
	closing := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = g.Admit(r)
		r.Body.Close()
		trailers <- r.Trailer.Clone()
	})
	// A handler that got the server's own request sees undeclared trailers as well.
	inPlace := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := g.Admit(r); err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		trailers <- r.Trailer.Clone()
	})
	for name, h := range map[string]http.Handler{"Handler": record, "Admit": inPlace, "Close": closing} {
		for _, announced := range []string{"", "Trailer: X-User-Id, X_User_Id, Cookie, DPoP, Digest\n"} {
			t.Run(name+" over HTTP/1.1, "+announced, func(t *testing.T) {
				f := front{newServer(t, h), issuer}
				f.raw(t, "POST / HTTP/1.1\nHost: x\nAuthorization: Bearer TOKEN\nTransfer-Encoding: chunked\n"+announced+
					"\n2\nhi\n0\nX-User-Id: admin\nX_User_Id: admin\nx.user.id: admin\nCookie: a=b\nDPoP: x\nDigest: d\n\n")
				got := <-trailers
				for name := range got {
					if name != "Digest" {
						t.Errorf("trailer %s: %q", name, got[name])
					}
				}
				if (announced != "" || name != "Handler") && got.Get("Digest") != "d" {
					t.Errorf("another trailer is gone: %v", got)
				}
			})
		}
	}
	t.Run("Handler over HTTP/2", func(t *testing.T) {
		server := httptest.NewUnstartedServer(record)
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Cleanup(server.Close)
		r, err := http.NewRequest("POST", server.URL, io.NopCloser(strings.NewReader("hi")))
		if err != nil {
			t.Fatal(err)
		}
		issuer.Authorize(r, nil)
		r.Trailer = http.Header{"X-User-Id": {"admin"}, "X_user_id": {"admin"}, "Cookie": {"a=b"}, "Dpop": {"x"}, "Digest": {"d"}}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if got := <-trailers; response.ProtoMajor != 2 || len(got) != 1 || got.Get("Digest") != "d" {
			t.Errorf("HTTP/%d: %v", response.ProtoMajor, got)
		}
	})
}

// RFC 9110 §10.1.1: the refusal comes before the body, which the client was never told to send.
func TestGuardRefusedBeforeBody(t *testing.T) {
	issuer := newIssuer()
	guard := &verify.Guard{Verifier: issuer.Verifier()}
	f := front{newServer(t, guard.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
	}))), issuer}
	for name, lines := range map[string]string{"no token": "", "bad token": "Authorization: Bearer junk\n", "malformed": "Authorization: Bearer\n"} {
		got := f.raw(t, "POST / HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 1000000\n"+lines+"\n")
		if got.StatusCode != 401 && got.StatusCode != 400 {
			t.Errorf("%s: status %d", name, got.StatusCode)
		}
	}
	if got := f.raw(t, "POST / HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 2\nAuthorization: Bearer TOKEN\n\n"); got.StatusCode != http.StatusContinue {
		t.Errorf("good token: status %d, want 100", got.StatusCode)
	}
}

// RFC 9110 §7.8: a WebSocket needs a token like any other request. The offer of h2c (RFC 7540 §3.2)
// is not forwarded.
func TestGuardUpgrade(t *testing.T) {
	issuer := newIssuer()
	f := newFront(t, issuer, &verify.Guard{})
	const h2c = "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\n"
	f.raw(t, get+h2c+"\n").refused(t, 401, "")
	f.raw(t, get+"Connection: Upgrade\nUpgrade: websocket\n\n").refused(t, 401, "")
	for _, offer := range []string{h2c, strings.TrimPrefix(h2c, "Connection: Upgrade, HTTP2-Settings\n"), strings.ToUpper(h2c)} {
		s := f.raw(t, get+"Authorization: Bearer TOKEN\n"+offer+"\n").seen(t)
		for _, name := range []string{"Upgrade", "Http2-Settings", "Connection"} {
			if s.Header[name] != nil {
				t.Errorf("upstream got %s: %q", name, s.Header[name])
			}
		}
	}

	upgraded := newServer(t, (&verify.Guard{Verifier: issuer.Verifier()}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + r.Header.Get("Upgrade") + "\r\n\r\n")
		_ = buffered.Flush()
	})))
	conn, err := net.Dial("tcp", upgraded.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer "+issuer.Sign(nil)+"\r\n\r\n")
	if got := readAnswer(t, bufio.NewReader(conn)); got.StatusCode != 101 || got.Header.Get("Upgrade") != "websocket" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
}

// A guard that is not valid says so, and admits nobody.
func TestGuardValidate(t *testing.T) {
	issuer := newIssuer()
	v := issuer.Verifier()
	claim := func(header, claim string) []verify.HeaderClaim {
		return []verify.HeaderClaim{{Header: header, Claim: verify.ClaimPath{claim}}}
	}
	form := func(form verify.HeaderForm, separator string) []verify.HeaderClaim {
		return []verify.HeaderClaim{{Header: "X-User", Claim: verify.ClaimPath{"sub"}, Form: form, Separator: separator}}
	}
	for name, g := range map[string]*verify.Guard{
		"no verifier":             {},
		"scope with a space":      {Verifier: v, Scope: verify.Scope{"a b"}},
		"empty scope-token":       {Verifier: v, AnyScope: verify.Scope{""}},
		"realm with a line end":   {Verifier: v, Realm: "a\r\nb"},
		"no header name":          {Verifier: v, Headers: claim("", "sub")},
		"header with a space":     {Verifier: v, Headers: claim("X User", "sub")},
		"header of signs only":    {Verifier: v, Headers: claim("-_-", "sub")},
		"header too long":         {Verifier: v, Headers: claim(strings.Repeat("x", 65), "sub")},
		"header not ASCII":        {Verifier: v, Headers: claim("X-Üser", "sub")},
		"no claim":                {Verifier: v, Headers: claim("X-User", "")},
		"no path":                 {Verifier: v, Headers: []verify.HeaderClaim{{Header: "X-User"}}},
		"unknown form":            {Verifier: v, Headers: form("csv", "")},
		"separator of two":        {Verifier: v, Headers: form(verify.ListForm, "; ")},
		"separator is a letter":   {Verifier: v, Headers: form(verify.ListForm, "x")},
		"separator is a line end": {Verifier: v, Headers: form(verify.ListForm, "\n")},
		"separator without list":  {Verifier: v, Headers: form(verify.RepeatForm, ";")},
		"one header by two names": {Verifier: v, Headers: append(claim("X-User", "sub"), claim("x_user", "name")...)},
		"Authorization":           {Verifier: v, Headers: claim("authorization", "sub")},
		"Connection":              {Verifier: v, Headers: claim("Connection", "sub")},
		"Content_Length":          {Verifier: v, Headers: claim("Content_Length", "sub")},
		"stripping Host":          {Verifier: v, Strip: []string{"host"}},
		"stripping no name":       {Verifier: v, Strip: []string{"a:b"}},
	} {
		if g.Validate() == nil {
			t.Errorf("%s: valid", name)
		}
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		issuer.Authorize(r, nil)
		g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%s: let in", name) })).ServeHTTP(w, r)
		if w.Code != http.StatusInternalServerError {
			t.Errorf("%s: status %d", name, w.Code)
		}
	}
}

// What would make another request of one goes on where that is said.
func TestGuardPassesOverrides(t *testing.T) {
	const lines = "X-HTTP-Method-Override: DELETE\nX-Original-URL: /admin\n"
	for _, c := range []struct {
		guard *verify.Guard
		want  string
	}{
		{&verify.Guard{}, ""},
		{&verify.Guard{InsecureAnyMethod: true}, "DELETE"},
		{&verify.Guard{InsecureAnyPath: true}, "/admin"},
		{&verify.Guard{InsecureAnyMethod: true, InsecureAnyPath: true}, "DELETE/admin"},
		{&verify.Guard{InsecureAnyMethod: true, MCP: new(verify.MCP)}, ""},
	} {
		got := newFront(t, newIssuer(), c.guard).raw(t, get+lines+"Mcp-Method: ping\nAuthorization: Bearer TOKEN\n\n").seen(t)
		if text := got.Header.Get("X-HTTP-Method-Override") + got.Header.Get("X-Original-URL"); text != c.want {
			t.Errorf("%+v: %q went on", c.guard.InsecureAnyMethod, text)
		}
	}
}
