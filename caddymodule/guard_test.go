package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// trusting runs a site that trusts an issuer by its key set file.
func trusting(t *testing.T, guard, more string) (*running, *verifytest.Issuer) {
	t.Helper()
	idp := verifytest.New("https://idp.example", "orders")
	c := newCaddy(t)
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(idp.JWKS()))
	c.mustLoad("", `
%SITE% {
	oauth_verify {
		issuer https://idp.example {
			jwks_file %DIR%/jwks.json
			audience orders
		}
		`+guard+`
	}
	`+more+`
	test_whoami
}
`)
	return c, idp
}

// seen returns what test_whoami has seen.
func seen(t *testing.T, a response) (told map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &told); err != nil {
		t.Fatalf("%v: %d %s", err, a.status, a.body)
	}
	return told
}

// The identity is in placeholders, in headers and in the context. Placeholders in a claim are not
// expanded.
func TestGuardIdentity(t *testing.T) {
	t.Setenv("RUN_SECRET", marker)
	c, idp := trusting(t, "header X-User-Id sub\nheader X-Name name\nstrip X-Remote-User", "")
	token := idp.Sign(verifytest.Claims{
		"sub": "alice", "id": "root", "name": "{env.RUN_SECRET}{http.request.uri}", "level": 7, "staff": true, "roles": []string{"a"},
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.site, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Authorization": {"Bearer " + token}, "X_User_Id": {"root"}, "X-User-Id": {"root"}, "X-Remote-User": {"root"}}
	told := seen(t, c.send(r).want(t, "good token", http.StatusOK))

	for name, want := range map[string]any{
		"context": "alice", "id": "alice", "sub": "alice", "name": "{env.RUN_SECRET}{http.request.uri}", "level": "7", "staff": true, "roles": "a",
	} {
		if told[name] != want {
			t.Errorf("%s is %v, want %v", name, told[name], want)
		}
	}
	headers := told["headers"].(map[string]any)
	for name, want := range map[string]string{"X-User-Id": "alice", "X-Name": "{env.RUN_SECRET}{http.request.uri}"} {
		if got, _ := headers[name].([]any); len(got) != 1 || got[0] != want {
			t.Errorf("header %s is %v, want %s", name, got, want)
		}
	}
	for _, name := range []string{"Authorization", "X_User_Id", "X-Remote-User"} {
		if headers[name] != nil {
			t.Errorf("header %s is %v, want none", name, headers[name])
		}
	}
}

// RFC 6750 §3: a refusal is an error of Caddy with a challenge, and handle_errors can show only
// constant text of it.
func TestGuardRefusal(t *testing.T) {
	c, idp := trusting(t, "scope orders:write\nany_scope staff admin\nrealm shop", `
	handle_errors {
		header X-Handled yes
		respond "{err.status_code} {err.message}" {err.status_code}
	}`)
	write := verifytest.Claims{"scope": "orders:write staff"}
	c.get(c.site, idp.Sign(write)).want(t, "all of scope, one of any_scope", http.StatusOK)
	for _, row := range []struct {
		name, token string
		status      int
		challenge   string
	}{
		{"no token", "", http.StatusUnauthorized, `Bearer realm="shop", scope=`},
		{"junk", "junk", http.StatusUnauthorized, `error="invalid_token"`},
		{"forged", idp.Sign(write, verifytest.SignedBy(verifytest.New("https://idp.example", "orders"))), http.StatusUnauthorized, `error="invalid_token"`},
		{"another audience", idp.Sign(verifytest.Claims{"aud": "bills", "scope": "orders:write staff"}), http.StatusUnauthorized, `error="invalid_token"`},
		{"another issuer", verifytest.New("https://evil.example", "orders").Sign(write), http.StatusUnauthorized, `error="invalid_token"`},
		{"without scope", idp.Sign(verifytest.Claims{"scope": "orders:read"}), http.StatusForbidden, `error="insufficient_scope"`},
		{"none of any_scope", idp.Sign(verifytest.Claims{"scope": "orders:write"}), http.StatusForbidden, `error="insufficient_scope"`},
		{"malformed header", "a b", http.StatusBadRequest, `error="invalid_request"`},
	} {
		a := c.get(c.site, row.token).want(t, row.name, row.status)
		if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, row.challenge) || !strings.Contains(got, `scope="orders:write staff admin"`) {
			t.Errorf("%s: challenge %s", row.name, got)
		}
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Handled") != "yes" {
			t.Errorf("%s: header %v", row.name, a.header)
		}
		if strings.Contains(a.body, "kid") || strings.Count(a.body, ":") > 1 {
			t.Errorf("%s: the cause is shown: %s", row.name, a.body)
		}
	}
	log := readFile(t, filepath.Join(c.dir, "log"))
	if got := strings.Count(log, `"msg":"request denied"`); got != 8 {
		t.Errorf("%d lines about denied requests, want 8", got)
	}
	if !strings.Contains(log, `"error":"insufficient_scope","status":403,"client":"client"`) {
		t.Errorf("the line about a known client does not name it")
	}
}

// With optional a request without a token passes; one with an invalid token never does.
func TestGuardOptional(t *testing.T) {
	c, idp := trusting(t, "optional", "")
	if told := seen(t, c.get(c.site, "").want(t, "no token", http.StatusOK)); told["id"] != nil || told["context"] != nil {
		t.Errorf("nobody has the identity %v", told)
	}
	c.get(c.site, idp.Sign(nil)).want(t, "good token", http.StatusOK)
	c.get(c.site, "junk").want(t, "bad token", http.StatusUnauthorized)
}

// RFC 6750 §2.3: an allowed token in the query is removed, and the answer is private.
func TestGuardQueryToken(t *testing.T) {
	c, idp := trusting(t, "insecure_query_token", "")
	a := c.get(c.site+"/?page=2&access_token="+idp.Sign(nil), "").want(t, "in the query", http.StatusOK)
	if told := seen(t, a); told["query"] != "page=2" {
		t.Errorf("the query goes on as %v", told["query"])
	}
	if got := a.header.Get("Cache-Control"); !strings.Contains(got, "private") {
		t.Errorf("Cache-Control: %s", got)
	}
}

// Loading an option that loosens a guard logs a warning; a strict guard logs none.
func TestGuardWarns(t *testing.T) {
	for _, option := range []string{"insecure_query_token", "insecure_any_audience", "insecure_any_path", "insecure_any_method", "optional"} {
		c, _ := trusting(t, option, "")
		warned := regexp.MustCompile(`"level":"warn".*"msg":"` + option + ":").MatchString(readFile(t, filepath.Join(c.dir, "log")))
		if warned != strings.HasPrefix(option, "insecure_") {
			t.Errorf("%s: warned: %v", option, warned)
		}
	}
}

// A guard may trust the server of this process and issuers elsewhere at once, each with its own
// audience.
func TestGuardTrustsBoth(t *testing.T) {
	idp := verifytest.New("https://idp.example", "their-orders")
	c := newCaddy(t)
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(idp.JWKS()))
	c.mustLoad(runServer("memory", ""), site(`server default
			issuer https://idp.example {
				jwks_file %DIR%/jwks.json
				audience their-orders
			}`))
	c.get(c.site+"/orders", c.token(marker)).want(t, "own", http.StatusOK)
	c.get(c.site+"/orders", idp.Sign(nil)).want(t, "theirs", http.StatusOK)
	c.get(c.site+"/orders", idp.Sign(verifytest.Claims{"aud": "orders"})).want(t, "theirs for our audience", http.StatusUnauthorized)
	if a := c.get(c.site+"/elsewhere", "").want(t, "pass through", http.StatusOK); a.body != "passed through" {
		t.Errorf("body %q", a.body)
	}
}

// Once the guard has run, each name under http.auth.user is known: to what comes after it, and to
// handle_errors. An identity that another handler has found stays where there is no token.
func TestGuardPlaceholdersAreKnown(t *testing.T) {
	const shown = `"[{http.auth.user.id}|{http.auth.user.name}|{http.auth.user.realm.roles}|{http.auth.user.realm}|{http.auth.user.}]"`
	c, idp := trusting(t, "optional\nallow_preflight", `
	handle_errors {
		respond `+shown+`
	}
	handle /fail {
		error 418
	}
	handle /twice {
		oauth_verify {
			issuer https://idp.example {
				jwks_file %DIR%/jwks.json
				audience orders
			}
			optional
		}
		respond `+shown+`
	}
	handle {
		respond `+shown+`
	}`)
	staff := verifytest.Claims{"realm": verifytest.Claims{"roles": []any{"a", 7, true}}}
	for _, row := range []struct {
		name, method, path string
		claims             verifytest.Claims
		want               string
	}{
		{"no token", "GET", "/", nil, "[||||]"},
		{"preflight", "OPTIONS", "/", nil, "[||||]"},
		{"claims that are absent", "GET", "/", verifytest.Claims{}, "[alice||||]"},
		{"a list in an object", "GET", "/", staff, "[alice||a,7,true||]"},
		{"a list with an object", "GET", "/", verifytest.Claims{"name": []any{verifytest.Claims{}}}, "[alice||||]"},
		{"a string that no header could carry", "GET", "/", verifytest.Claims{"name": "Zoë"}, "[alice|Zoë|||]"},
		{"null", "GET", "/", verifytest.Claims{"name": []any{}}, "[alice||||]"},
		{"refused", "GET", "/", verifytest.Claims{"aud": "bills"}, "[||||]"},
		{"an error later on", "GET", "/fail", staff, "[alice||a,7,true||]"},
		{"an error later on, no token", "GET", "/fail", nil, "[||||]"},
		{"two guards", "GET", "/twice", staff, "[alice||a,7,true||]"},
		{"two guards, no token", "GET", "/twice", nil, "[||||]"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), row.method, c.site+row.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if row.claims != nil {
			idp.Authorize(r, row.claims)
		}
		if row.method == http.MethodOptions {
			r.Header.Set("Origin", "https://app.example")
			r.Header.Set("Access-Control-Request-Method", "GET")
		}
		if got := c.send(r).body; got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

// Requests that are denied again and again do not fill the log, and the path is logged as it came.
func TestGuardFloodedLog(t *testing.T) {
	c, _ := trusting(t, "", "")
	const requests = 2000
	for i := range requests {
		token := ""
		if i%2 == 0 {
			token = "x.y." + strconv.Itoa(i)
		}
		c.get(c.site+"/a%E2%80%AEb%C2%9Bc%E2%80%A8d%7F", token).want(t, "flood", http.StatusUnauthorized)
	}
	c.mustLoad("", "")
	log := readFile(t, filepath.Join(c.dir, "log"))
	lines, refusals := 0, 0
	for line := range strings.Lines(log) {
		var entry struct {
			Message string `json:"msg"`
			Path    string `json:"path"`
			LeftOut int    `json:"left_out"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Message != "request denied" {
			continue
		}
		lines++
		refusals += entry.LeftOut
		if entry.LeftOut == 0 {
			refusals++
			if entry.Path != "/a%E2%80%AEb%C2%9Bc%E2%80%A8d%7F" {
				t.Errorf("path %q", entry.Path)
			}
		}
	}
	if lines > 500 || refusals != requests {
		t.Errorf("%d lines about %d requests, want at most 500 about %d", lines, refusals, requests)
	}
}

// A flood of refusals does not flood the log, however many routes and addresses it has.
func TestGuardFloodOverRoutes(t *testing.T) {
	idp := verifytest.New("https://idp.example", "orders")
	c := newCaddy(t)
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(idp.JWKS()))
	site := "%SITE% {\n"
	for i := range 4 {
		site += fmt.Sprintf("oauth_verify /%d {\nissuer https://idp.example {\njwks_file %%DIR%%/jwks.json\naudience orders\n}\n}\n", i)
	}
	c.mustLoad("servers {\ntrusted_proxies static 127.0.0.1\ntrusted_proxies_strict\n}", site+"}\n")
	for i := range 1000 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/%d", c.site, i%4), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Authorization": {"Bearer x.y.z"}, "X-Forwarded-For": {fmt.Sprintf("192.0.2.%d", i/4%100)}}
		c.send(r).want(t, "bad token", http.StatusUnauthorized)
	}
	c.mustLoad("", "") // the rest is written
	log := readFile(t, filepath.Join(c.dir, "log"))
	refused, summed := strings.Count(log, `"msg":"request denied"`), strings.Count(log, `"left_out":`)
	if refused-summed > 200 || summed == 0 || refused > 400 {
		t.Errorf("%d lines about refusals and %d about what was left out, want at most 200 each", refused-summed, summed)
	}
}
