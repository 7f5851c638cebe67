package caddymodule_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// After a failure the routes of handle_errors know who was let in, and do not get the credential
// that was for the upstream.
func TestGuardErrorRoutes(t *testing.T) {
	for _, row := range []struct{ options, want string }{
		{"authorization value " + marker + " {\nsend header X-Key\n}", "502 alice [||b=c|a=1|alice]"},
		{"authorization value " + marker + " {\nsend bearer\n}", "502 alice [||b=c|a=1|alice]"},
		{"authorization basic app " + marker, "502 alice [||b=c|a=1|alice]"},
		{"authorization value " + marker + " {\nsend cookie session\n}", "502 alice [||b=c|a=1|alice]"},
		{"authorization value " + marker + " {\nsend query key\n}", "502 alice [||b=c|a=1|alice]"},
		{"authorization strip", "502 alice [||b=c|a=1|alice]"},
		{"authorization keep", "502 alice [Bearer TOKEN||b=c|a=1|alice]"},
	} {
		c, idp := trusting(t, "header X-User sub\n"+row.options, `
	handle {
		reverse_proxy 127.0.0.1:1
	}
	handle_errors {
		respond "{err.status_code} {http.auth.user.id} [{header.Authorization}|{header.X-Key}|{header.Cookie}|{query}|{header.X-User}]"
	}`)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.site+"/?a=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		token := idp.Sign(nil)
		r.Header = http.Header{"Authorization": {"Bearer " + token}, "Cookie": {"b=c"}}
		if got := c.send(r).body; got != strings.ReplaceAll(row.want, "TOKEN", token) {
			t.Errorf("%s: %s, want %s", row.options, got, row.want)
		}
	}
}

// Challenges lead to the metadata of a resource (RFC 9728 §5.1): where no route serves them, the
// log says what to write.
func TestGuardWarnsOfUnservedMetadata(t *testing.T) {
	const within = "\nhandle /orders* {\noauth_verify {\nresource RESOURCE\nPOLICY\n}\nrespond ok\n}\n"
	for name, row := range map[string]struct {
		site   string
		warned bool
	}{
		"within handle":                   {within, true},
		"within handle, served beside it": {"oauth_resource_metadata" + within, false},
		"served in another handle":        {within + "handle /.well-known/oauth-protected-resource/* {\noauth_resource_metadata\n}\n", false},
		"served by a route for all else":  {within + "handle {\noauth_verify {\nPOLICY\naudience a\n}\n}\n", false},
		"behind a matcher":                {"oauth_verify /orders* {\nresource RESOURCE\nPOLICY\n}\n", false},
		"the whole site":                  {"oauth_verify {\nresource RESOURCE\nPOLICY\n}\n", false},
		"another host, by a proxy":        {strings.Replace(within, "RESOURCE", "https://api.example/orders", 1), false},
	} {
		c := newCaddy(t)
		writeFile(t, filepath.Join(c.dir, "jwks.json"), string(verifytest.New("https://idp.example", "orders").JWKS()))
		site := strings.NewReplacer("RESOURCE", c.site+"/orders", "POLICY", "issuer https://idp.example {\njwks_file %DIR%/jwks.json\n}").Replace(row.site)
		c.mustLoad("", "%SITE% {\n"+site+"}\n")
		log := readFile(t, filepath.Join(c.dir, "log"))
		if warned := strings.Contains(log, "write oauth_resource_metadata"); warned != row.warned {
			t.Errorf("%s: warned %v, want %v", name, warned, row.warned)
		}
	}
}

// Sixty people behind one address, with a good opaque token each, wait for their turns.
func TestOpaqueTokensOfOneAddressWait(t *testing.T) {
	const all = 60
	var sent sync.WaitGroup
	sent.Add(all)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		sent.Wait()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"active":true,"aud":"orders"}`)
	}))
	t.Cleanup(endpoint.Close)
	c := newCaddy(t)
	c.mustLoad("", `
%SITE% {
	oauth_verify {
		audience orders
		issuer https://opaque.example {
			introspection `+endpoint.URL+` {
				client gateway secret
			}
		}
	}
	respond "orders"
}
`)
	var done sync.WaitGroup
	for n := range all {
		once := sync.OnceFunc(sent.Done)
		trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { once() }}
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, c.site+"/orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", fmt.Sprintf("Bearer opaque-%d", n))
		done.Go(func() {
			if a := c.send(r); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	done.Wait()
}

// The body of a refusal is JSON where nothing is said, and what handle_errors writes where that is.
func TestGuardRefusalBody(t *testing.T) {
	const body = `{"error_description":"no access token was sent"}`
	page := "handle_errors {\nrespond \"page {err.status_code}\"\n}"
	for _, row := range []struct{ name, guard, more, want string }{
		{"nothing is said", "", "", body},
		{"handle_errors", "", page, "page 401"},
		{"both", "error_body json", page, body},
	} {
		c, _ := trusting(t, row.guard, row.more)
		a := c.get(c.site, "").want(t, row.name, http.StatusUnauthorized)
		if a.body != row.want || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: %s, challenge %q; want %s", row.name, a.body, a.header.Get("WWW-Authenticate"), row.want)
		}
	}
}

// RFC 9112 §3.2: what a route without a guard's rules gets is not the path of a protected one, to
// whomever it may look so, whatever was rewritten before.
func TestGuardTargets(t *testing.T) {
	idp := verifytest.New("https://idp.example", "orders")
	c := newCaddy(t)
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(idp.JWKS()))
	const guard = "oauth_verify {\nissuer https://idp.example {\njwks_file %DIR%/jwks.json\naudience orders\n}\n%OPTION%\n}\n"
	open, closed := strings.Replace(guard, "%OPTION%", "optional", 1), strings.Replace(guard, "%OPTION%", "", 1)
	c.mustLoad("", "%SITE% {\nuri query -utm\nhandle / {\n"+closed+"respond secret\n}\nhandle /orders* {\n"+closed+"respond secret\n}\n"+
		"handle_path /api* {\n"+open+"respond \"api {path}\"\n}\nhandle {\n"+open+"respond \"open {path}\"\n}\n}\n")
	host := strings.TrimPrefix(c.site, "http://")
	for target, want := range map[string]int{
		"/": 401, "http://" + host + "/": 401, "/orders": 401, "http://" + host + "/orders": 401,
		"http://" + host: 400, "http://" + host + "?a": 400, "http:?a": 400, "x:orders": 400, "//x/orders": 400, "/;/orders": 400, "*": 400,
		"/open": 200, "/api": 200, "/api/x": 200, "http://" + host + "/api": 200,
	} {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		answer, _ := io.ReadAll(conn)
		_ = conn.Close()
		if !strings.HasPrefix(string(answer), fmt.Sprintf("HTTP/1.1 %d ", want)) {
			t.Errorf("%s: want %d, got %s", target, want, answer)
		}
	}
}

// The reason of a refusal, for handle_errors, says whose fault it is, also where the program that
// knows credentials of the upstream does not answer as it should.
func TestGuardReasons(t *testing.T) {
	for answer, want := range map[string]string{
		`200 {"credential":"x"}`: "200", `200 {}`: "502 error", `500 {}`: "503 unavailable", `404 {}`: "403 access_denied",
	} {
		status, body, _ := strings.Cut(answer, " ")
		program := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			code, _ := strconv.Atoi(status)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}))
		c, idp := trusting(t, "authorization ask "+program.URL+" {\nsend header X-Key\n}",
			"handle_errors {\nrespond \"{err.status_code} {http.oauth_verify.reason}\"\n}\nrespond 200")
		if got := strings.TrimSpace(strconv.Itoa(c.get(c.site, idp.Sign(nil)).status)); !strings.HasPrefix(want, got) {
			t.Errorf("%s: status %s, want %s", answer, got, want)
		}
		if got := c.get(c.site, idp.Sign(nil)).body; want != "200" && got != want {
			t.Errorf("%s: %s, want %s", answer, got, want)
		}
		program.Close()
	}
}

// RFC 9449 §11.1: a request brings its proof to two guards, one behind the other, and uses it once.
func TestProofBeforeTwoGuards(t *testing.T) {
	idp := verifytest.New("https://idp.example", "orders")
	c := newCaddy(t)
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(idp.JWKS()))
	const guard = "oauth_verify {\nissuer https://idp.example {\njwks_file %DIR%/jwks.json\naudience orders\n}\ndpop {\norigin %SITE%\n}\n%OPTION%\n}\n"
	c.mustLoad("", "%SITE% {\nroute {\n"+strings.Replace(guard, "%OPTION%", "authorization keep", 1)+strings.Replace(guard, "%OPTION%", "", 1)+"respond ok\n}\n}\n")
	prover := verifytest.NewProver("ES256")
	token := idp.Sign(verifytest.Claims{"cnf": map[string]any{"jkt": prover.Thumbprint()}})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.site+"/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	prover.Authorize(r, token, nil)
	c.send(r).want(t, "through both", http.StatusOK)
	c.send(r).want(t, "once more", http.StatusUnauthorized)
}
