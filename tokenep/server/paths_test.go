package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// teapot is the handler behind the server: it answers what the server passes through.
var teapot = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })

// mountAt mounts the endpoints of a server elsewhere, before teapot.
func mountAt(t *testing.T, f *tokeneptest.Server, p server.Paths) {
	t.Helper()
	routes, err := f.Mount(p)
	if err != nil {
		t.Fatal(err)
	}
	f.URL, f.Handler = "", routes.Handler(teapot)
}

// everywhere moves all endpoints of a server.
func everywhere(token string, paths map[string]string) server.Paths {
	p := server.Paths{Token: []server.TokenPath{{Path: token}}, Moved: map[string][]string{"introspection": {"/look/at"}}}
	for name, path := range paths {
		p.Moved[name] = []string{path}
	}
	return p
}

// The folder <path of the issuer>/oauth/ belongs to the server while an endpoint lies in it: every
// other path in it is 404, with an error that a client can read. Paths outside pass through.
func TestPathsClosedFolder(t *testing.T) {
	const tenant = "https://as.example/tenant/"
	for _, row := range []struct {
		name   string
		issuer string
		paths  server.Paths
		closed []string // 404
		open   []string // pass through
		there  []string // lead to an endpoint
	}{
		{
			"the default places", issuer, server.Paths{},
			[]string{"/oauth/", "/oauth/nothing", "/oauth/token/", "/oauth/token/x", "/oauth/Token", "/oauth/tokens", "/oauth/.well-known/x"},
			[]string{"/", "/oauth", "/oauth2/token", "/OAuth/token", "/token", "/x/oauth/token", "/.well-known/x"},
			[]string{"/oauth/token", "/oauth/revoke", "/oauth/jwks"},
		},
		{
			"an issuer with a path", tenant, server.Paths{},
			[]string{"/tenant/oauth/", "/tenant/oauth/nothing", "/tenant/oauth/token/"},
			[]string{"/oauth/", "/oauth/token", "/oauth/nothing", "/tenant", "/tenant/", "/tenant/oauth", "/tenant/x", "/tenant2/oauth/x"},
			[]string{"/tenant/oauth/token", "/tenant/oauth/revoke", "/tenant/oauth/jwks"},
		},
		{
			"everything moved out of it", issuer, everywhere("/login/token", map[string]string{"revocation": "/login/revoke", "jwks": "/keys/a"}),
			nil,
			[]string{"/oauth/", "/oauth/token", "/oauth/revoke", "/oauth/jwks", "/oauth/nothing", "/login/", "/login/x", "/login/token/", "/keys/", "/keys/b"},
			[]string{"/login/token", "/login/revoke", "/keys/a"},
		},
		{
			"the token endpoint moved out of it", issuer, server.Paths{Token: []server.TokenPath{{Path: "/v2/oauth/token"}}},
			[]string{"/oauth/token", "/oauth/nothing"},
			[]string{"/v2/oauth/nothing", "/v2/oauth/", "/v2/oauth/token/", "/v2"},
			[]string{"/v2/oauth/token", "/oauth/revoke"},
		},
		{
			"one endpoint moved into it", issuer, everywhere("/login", map[string]string{"revocation": "/r", "jwks": "/oauth/deep/keys"}),
			[]string{"/oauth/", "/oauth/deep", "/oauth/deep/", "/oauth/deep/x", "/oauth/token"},
			[]string{"/oauth", "/login/", "/r/x"},
			[]string{"/login", "/r", "/oauth/deep/keys"},
		},
		{
			"passthrough", issuer, server.Paths{Passthrough: true},
			nil,
			[]string{"/oauth/", "/oauth/nothing", "/oauth/token/", "/oauth/token/x"},
			[]string{"/oauth/token", "/oauth/revoke", "/oauth/jwks"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := tokeneptest.New(t, func(c *server.Config) { c.Issuer = row.issuer })
			mountAt(t, f, row.paths)
			for _, path := range row.closed {
				f.Clock.Advance(time.Minute) // so that the log has a line for each request
				for _, r := range []request{post("grant_type", cc).By("billing").At(path), get(path), get(path + "?x=/oauth/token")} {
					f.Log.Reset()
					a := f.Send(t, r)
					a.Refused(t, http.StatusNotFound, tokenep.InvalidRequest)
					lines := strings.Split(strings.TrimSpace(f.Log.String()), "\n")
					if len(lines) != 1 || !strings.Contains(lines[0], "no such endpoint") || !strings.Contains(lines[0], "method="+r.Method) || !strings.Contains(lines[0], "path="+path) {
						t.Errorf("%s %s: the log says %q", r.Method, path, lines)
					}
				}
			}
			f.Log.Reset()
			for _, path := range row.open {
				if a := f.Send(t, get(path)); a.Status != http.StatusTeapot || len(a.Header) != 0 {
					t.Errorf("%s: %d %v, want it to pass through", path, a.Status, a.Header)
				}
			}
			if text := f.Log.String(); text != "" {
				t.Errorf("what passes through is logged: %s", text)
			}
			for _, path := range row.there {
				options := request{Method: http.MethodOptions, Path: path, Header: http.Header{}}
				if a := f.Send(t, options); a.Status != http.StatusNoContent || a.Header.Get("Allow") == "" {
					t.Errorf("%s: %d %v, want an endpoint", path, a.Status, a.Header)
				}
			}
		})
	}
}

// Paths are escaped in the log, so that nobody can forge a line of it.
func TestPathsLogIsEscaped(t *testing.T) {
	f := tokeneptest.New(t)
	f.Log.Reset()
	f.Send(t, get("/oauth/%0Alevel=ERROR")).Refused(t, http.StatusNotFound, tokenep.InvalidRequest)
	if text := strings.TrimSpace(f.Log.String()); strings.Contains(text, "\n") || !strings.Contains(text, "%0A") {
		t.Errorf("the log says %q", text)
	}
}

// An endpoint from outside is a row like the others: the metadata lists it by its member, at the
// place to which it was moved. A name that no endpoint has cannot be moved.
func TestPathsOfEndpointFromOutside(t *testing.T) {
	papers := tokenep.Endpoint{
		Name: "papers", Path: "/oauth/papers", Member: "papers_endpoint", Methods: []string{http.MethodPost},
		Metadata: func(map[string]any) map[string]any { return map[string]any{"papers_supported": []string{"a4"}} },
		Call:     func(context.Context, *tokenep.Request) (any, error) { return map[string]int{"papers": 3}, nil },
	}
	var outcomes []tokenep.Outcome
	f := tokeneptest.New(t, tokeneptest.WithEndpoint(papers), func(c *server.Config) {
		c.Issuer += "/tenant"
		c.Observe = func(_ context.Context, o tokenep.Outcome) { outcomes = append(outcomes, o) }
	})
	for _, row := range []struct {
		name  string
		moved []string
		paths []string // the first is in the metadata
	}{
		{"where it is by default", nil, []string{"/tenant/oauth/papers"}},
		{"moved", []string{"/bureau/papers"}, []string{"/bureau/papers"}},
		{"moved to two places", []string{"/b", "/a"}, []string{"/b", "/a"}},
	} {
		mountAt(t, f, server.Paths{Moved: map[string][]string{"papers": row.moved}})
		document := f.Send(t, get("/.well-known/oauth-authorization-server/tenant")).JSON
		if got, want := document["papers_endpoint"], issuer+row.paths[0]; got != want {
			t.Errorf("%s: papers_endpoint is %v, want %s", row.name, got, want)
		}
		if !tokeneptest.EqualJSON(document["papers_supported"], []string{"a4"}) || document["token_endpoint"] != issuer+"/tenant/oauth/token" {
			t.Errorf("%s: %v", row.name, document)
		}
		for _, path := range row.paths {
			outcomes = nil
			if a := f.Send(t, post().At(path)); a.Status != http.StatusOK || a.JSON["papers"] != 3.0 {
				t.Errorf("%s: %s: %d %s", row.name, path, a.Status, a.Body)
			}
			if len(outcomes) != 1 || outcomes[0].Endpoint != "papers" {
				t.Errorf("%s: outcomes %+v", row.name, outcomes)
			}
			f.Send(t, get(path)).Refused(t, http.StatusMethodNotAllowed, tokenep.InvalidRequest)
		}
		if row.moved != nil {
			f.Send(t, post().At("/tenant/oauth/papers")).Refused(t, http.StatusNotFound, tokenep.InvalidRequest)
		}
	}
	for name, moved := range map[string]string{
		"one that is not there": "paper", "the token endpoint, which has its own option": "token", "its member": "papers_endpoint",
	} {
		if _, err := f.Mount(server.Paths{Moved: map[string][]string{moved: {"/x"}}}); err == nil || !strings.Contains(err.Error(), "papers") {
			t.Errorf("moving %s: %v, want an error that lists what can be moved", name, err)
		}
	}
}

// What an endpoint from outside says of itself in the metadata must be its own, and it must be
// somewhere.
func TestPathsMetadataCollide(t *testing.T) {
	for name, change := range map[string]func(*tokenep.Endpoint){
		"the issuer as member":   func(e *tokenep.Endpoint) { e.Member = "issuer" },
		"the key set as member":  func(e *tokenep.Endpoint) { e.Member = "jwks_uri" },
		"the issuer beside it":   func(e *tokenep.Endpoint) { e.Metadata = members("issuer") },
		"its own member, twice":  func(e *tokenep.Endpoint) { e.Metadata = members("papers_endpoint") },
		"the token endpoint":     func(e *tokenep.Endpoint) { e.Metadata = members("token_endpoint") },
		"no place":               func(e *tokenep.Endpoint) { e.Places = func(string) []string { return nil } },
		"the place of the token": func(e *tokenep.Endpoint) { e.Path = "/oauth/token" },
	} {
		papers := tokenep.Endpoint{
			Name: "papers", Path: "/oauth/papers", Member: "papers_endpoint", Methods: []string{http.MethodPost},
			Call: func(context.Context, *tokenep.Request) (any, error) { return struct{}{}, nil },
		}
		change(&papers)
		c := tokeneptest.Config(memory.New(memory.Options{}), time.Now)
		tokeneptest.WithEndpoint(papers)(&c)
		s, err := server.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if routes, err := s.Mount(server.Paths{}); err == nil {
			t.Errorf("%s: mounted at %q", name, routes.Paths())
		}
	}
}

func members(name string) func(map[string]any) map[string]any {
	return func(map[string]any) map[string]any { return map[string]any{name: "https://evil.example"} }
}

// RFC 3986 §2.1: an issuer whose path is escaped is found by requests, which are compared decoded;
// the metadata has its URLs escaped.
func TestPathsOfEscapedIssuer(t *testing.T) {
	f := tokeneptest.New(t, func(c *server.Config) { c.Issuer += "/a%20b/%C3%A9" })
	mountAt(t, f, server.Paths{})
	a := f.Send(t, get("/.well-known/oauth-authorization-server/a%20b/%C3%A9"))
	if want := issuer + "/a%20b/%C3%A9/oauth/token"; a.JSON["token_endpoint"] != want {
		t.Errorf("token_endpoint is %v, want %s: %s", a.JSON["token_endpoint"], want, a.Body)
	}
	if a := f.Send(t, get("/a%20b/%C3%A9/oauth/jwks")); a.Status != http.StatusOK {
		t.Errorf("the key set: %d %s", a.Status, a.Body)
	}
	f.Send(t, get("/a%20b/%C3%A9/oauth/nothing")).Refused(t, http.StatusNotFound, tokenep.InvalidRequest)
}

// An endpoint with an argument has one more segment at each of its places, and nothing else.
func TestPathsWithAnArgument(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) { c.ConsentPage = "/consent" })
	for path, there := range map[string]bool{
		"/oauth/consent/abc": true, "/oauth/consent": false, "/oauth/consent/": false, "/oauth/consent/abc/": false, "/oauth/consent/a/b": false,
	} {
		routes, err := f.Mount(server.Paths{})
		if err != nil {
			t.Fatal(err)
		}
		if routes.Has(path) != there || routes.Find(path) == nil {
			t.Errorf("%s: an endpoint: %v, answered: %v", path, routes.Has(path), routes.Find(path) != nil)
		}
	}
	routes, err := f.Mount(server.Paths{Moved: map[string][]string{"consent": {"/ask", "/oauth/ask"}}})
	if err != nil {
		t.Fatal(err)
	}
	for path, there := range map[string]bool{
		"/ask/abc": true, "/oauth/ask/abc": true, "/ask": false, "/ask/": false, "/ask/a/b": false, "/oauth/consent/abc": false,
	} {
		if routes.Has(path) != there {
			t.Errorf("%s: an endpoint: %v, want %v", path, !there, there)
		}
	}
	if paths := strings.Join(routes.Paths(), " "); !strings.Contains(paths, "/ask/ ") {
		t.Errorf("%s", paths)
	}
}
