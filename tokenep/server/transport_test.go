package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

const goodForm = "grant_type=client_credentials&client_id=billing&client_secret=billing-secret"

// RFC 6749 §3.2: the client MUST use POST. RFC 9110 §15.5.6: a 405 names the methods that are known.
func TestTransportMethods(t *testing.T) {
	f := newFixture(t)
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "post"} {
		for _, path := range []string{tokenPath, jsonPath, revokePath} {
			r := raw(goodForm).at(path)
			r.method = method
			a := f.do(t, r)
			refused(t, a, http.StatusMethodNotAllowed, tokenep.InvalidRequest)
			if allow := a.header.Get("Allow"); allow != "POST, OPTIONS" {
				t.Errorf("%s %s: Allow: %s", method, path, allow)
			}
			if method == "HEAD" && len(a.body) != 0 {
				t.Errorf("HEAD %s has a body: %s", path, a.body)
			}
		}
	}
	a := f.do(t, request{method: "OPTIONS", path: tokenPath, header: http.Header{}})
	if a.status != http.StatusNoContent || a.header.Get("Allow") != "POST, OPTIONS" || len(a.body) != 0 {
		t.Errorf("OPTIONS: %d, Allow %q, %q", a.status, a.header.Get("Allow"), a.body)
	}
}

// RFC 6749 §4.4.2 and appendix B: parameters come as application/x-www-form-urlencoded, in UTF-8.
func TestTransportForm(t *testing.T) {
	good := raw(goodForm)
	typed := func(values ...string) request { return good.with("Content-Type", values...) }
	large := func(n int) request { return raw(goodForm + "&x=" + strings.Repeat("y", n-len(goodForm)-3)) }
	chunked := func(r request) request { r.chunked = true; return r }
	newFixture(t).hold(t, []rule{
		{"3.2: a form", good, 200, ""},
		{"9110 8.3.1: parameters of the type", typed("application/x-www-form-urlencoded; charset=utf-8"), 200, ""},
		{"9110 8.3.1: no space, quoted", typed(`application/x-www-form-urlencoded;charset="UTF-8"`), 200, ""},
		{"9110 8.3.1: upper case", typed("Application/X-WWW-Form-URLEncoded"), 200, ""},
		{"9112 7.1: chunked", chunked(good), 200, ""},
		{"B: escapes in names and values", raw(strings.Replace(goodForm, "client_id=b", "client%5Fid=%62", 1)), 200, ""},
		{"3.2: unknown parameters are ignored, even twice", raw(goodForm + "&nonce=1&nonce=2&nonce=&%C3%A4=1"), 200, ""},
		{"3.2: an unknown parameter is not a known one in other letters", raw(goodForm + "&Grant_Type=password&SCOPE=x"), 200, ""},
		{"B: empty pairs", raw("&&" + goodForm + "&"), 200, ""},
		{"64 KiB", large(64 << 10), 200, ""},

		{"no type", typed(), 400, tokenep.InvalidRequest},
		{"an empty type", typed(""), 400, tokenep.InvalidRequest},
		{"text/plain", typed("text/plain"), 400, tokenep.InvalidRequest},
		{"multipart", typed("multipart/form-data; boundary=x"), 400, tokenep.InvalidRequest},
		{"JSON where it is not set", typed("application/json"), 400, tokenep.InvalidRequest},
		{"9110 5.3: the type twice", typed("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"), 400, tokenep.InvalidRequest},
		{"9110 5.3: two types in a line", typed("application/x-www-form-urlencoded, text/plain"), 400, tokenep.InvalidRequest},
		{"9110 8.4: compressed", good.with("Content-Encoding", "gzip"), 400, tokenep.InvalidRequest},
		{"9110 8.4: identity is no coding", good.with("Content-Encoding", "identity"), 200, ""},
		{"no body", raw(""), 400, tokenep.InvalidRequest},

		{"more than 64 KiB", large(64<<10 + 1), 413, tokenep.InvalidRequest},
		{"more than 64 KiB, chunked", chunked(large(64<<10 + 1)), 413, tokenep.InvalidRequest},
		{"a megabyte", large(1 << 20), 413, tokenep.InvalidRequest},

		{"B: a broken escape", raw(goodForm + "&x=%zz"), 400, tokenep.InvalidRequest},
		{"B: half an escape", raw(goodForm + "&x=%4"), 400, tokenep.InvalidRequest},
		{"B: a broken escape in a name", raw(goodForm + "&%zz=x"), 400, tokenep.InvalidRequest},
		{"B: semicolons", raw(strings.ReplaceAll(goodForm, "&", ";")), 400, tokenep.InvalidRequest},
		{"B: not UTF-8", raw(goodForm + "&x=%ff"), 400, tokenep.InvalidRequest},
		{"B: not UTF-8, raw", raw(goodForm + "&x=\xff"), 400, tokenep.InvalidRequest},
		{"B: not UTF-8 in a name", raw(goodForm + "&%ff=x"), 400, tokenep.InvalidRequest},
		{"B: NUL", raw(goodForm + "&x=%00"), 400, tokenep.InvalidRequest},
		{"B: NUL in a name", raw(goodForm + "&%00=x"), 400, tokenep.InvalidRequest},

		{"2.3.1: nothing is read from the URL", raw("").at(tokenPath + "?" + goodForm), 400, tokenep.InvalidRequest},
		{"2.3.1: no secret from the URL", post("grant_type", cc, "client_id", "billing").at(tokenPath + "?client_secret=billing-secret"), 401, tokenep.InvalidClient},
		{"2.3.1: no client from the URL", post("grant_type", cc).at(tokenPath + "?client_id=billing&client_secret=billing-secret"), 401, tokenep.InvalidClient},
		{"2.3.1: the URL does not stand against the body", good.at(tokenPath + "?grant_type=x&client_secret=wrong&scope=%22"), 200, ""},
	})
}

// RFC 6749 §3.2: "Request and response parameters MUST NOT be included more than once", and those without a value are not there.
func TestTransportRepeated(t *testing.T) {
	var rules []rule
	for _, name := range []string{
		"grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type", "code", "redirect_uri", "code_verifier",
		"refresh_token", "username", "password", "assertion", "device_code", "subject_token", "subject_token_type", "actor_token",
		"actor_token_type", "requested_token_type", "token", "token_type_hint",
	} {
		rules = append(rules,
			rule{"twice: " + name, raw(goodForm + "&" + name + "=a&" + name + "=a"), 400, tokenep.InvalidRequest},
			rule{"with and without a value: " + name, raw(goodForm + "&" + name + "=a&" + name + "="), 400, tokenep.InvalidRequest})
	}
	for _, name := range []string{
		"scope", "code", "redirect_uri", "refresh_token", "actor_token", "actor_token_type", "requested_token_type", "audience", "resource",
		"client_assertion", "client_assertion_type",
	} {
		rules = append(rules,
			rule{"empty: " + name, raw(goodForm + "&" + name + "="), 200, ""},
			rule{"without =: " + name, raw(goodForm + "&" + name), 200, ""})
	}
	rules = append(rules,
		rule{"8707 2: resource twice", post("grant_type", cc, "resource", orders, "resource", invoices).by("billing"), 200, ""},
		rule{"8693 2.1: audience twice", post("grant_type", cc, "audience", orders, "audience", invoices, "audience", "").by("billing"), 200, ""},
		rule{"equal values too", raw(goodForm + "&grant_type=client_credentials"), 400, tokenep.InvalidRequest},
		rule{"3.2: an empty grant_type is none", raw("grant_type=").by("billing"), 400, tokenep.InvalidRequest},
		rule{"2.3.1: an empty client_secret is none", post("grant_type", cc, "client_id", "billing", "client_secret", ""), 401, tokenep.InvalidClient},
		rule{"a dialect ignores a parameter however often it comes", post("grant_type", cc, "scope", "x", "scope", "y").by("reports").at(phrasePath), 200, ""})
	newFixture(t).hold(t, rules)
}

// The members of a JSON body follow RFC 6749 §3.2 as parameters do, and RFC 8259 §4 on names.
func TestTransportJSON(t *testing.T) {
	const who = `"client_id":"billing","client_secret":"billing-secret"`
	const good = `{"grant_type":"client_credentials",` + who
	f := newFixture(t)
	f.hold(t, []rule{
		{"a JSON object", jsonBody(good + "}"), 200, ""},
		{"with white space", jsonBody(" \n" + good + "\n}\n"), 200, ""},
		{"type with charset", jsonBody(good+"}").with("Content-Type", "Application/JSON; charset=utf-8"), 200, ""},
		{"Basic beside it", jsonBody(`{"grant_type":"client_credentials"}`).by("billing"), 200, ""},
		{"an escaped name is the same name", jsonBody(`{"grant\u005ftype":"client_credentials",` + who + "}"), 200, ""},
		{"an empty member is none", jsonBody(good + `,"scope":"","resource":"","actor_token":""}`), 200, ""},
		{"an unknown member", jsonBody(good + `,"nonce":"1"}`), 200, ""},
		{"a pair of surrogates", jsonBody(good + `,"nonce":"\ud83d\ude00"}`), 200, ""},
		{"a form at the same path", raw(goodForm).at(jsonPath), 200, ""},

		{"a member twice", jsonBody(good + `,"scope":"orders:read","scope":"orders:read"}`), 400, tokenep.InvalidRequest},
		{"a member twice, once escaped", jsonBody(good + `,"grant\u005ftype":"client_credentials"}`), 400, tokenep.InvalidRequest},
		{"an unknown member twice", jsonBody(good + `,"x":"","x":""}`), 400, tokenep.InvalidRequest},
		{"names are case-sensitive", jsonBody(`{"GRANT_TYPE":"client_credentials",` + who + "}"), 400, tokenep.InvalidRequest},
		{"a number", jsonBody(good + `,"x":1}`), 400, tokenep.InvalidRequest},
		{"a huge number", jsonBody(good + `,"x":1e999}`), 400, tokenep.InvalidRequest},
		{"an array", jsonBody(good + `,"scope":["orders:read"]}`), 400, tokenep.InvalidRequest},
		{"an object", jsonBody(good + `,"x":{}}`), 400, tokenep.InvalidRequest},
		{"null", jsonBody(good + `,"scope":null}`), 400, tokenep.InvalidRequest},
		{"true", jsonBody(good + `,"x":true}`), 400, tokenep.InvalidRequest},
		{"data behind it", jsonBody(good + "}x"), 400, tokenep.InvalidRequest},
		{"two objects", jsonBody(good + "}{}"), 400, tokenep.InvalidRequest},
		{"an object that does not end", jsonBody(good), 400, tokenep.InvalidRequest},
		{"a comma too many", jsonBody(good + ",}"), 400, tokenep.InvalidRequest},
		{"a list", jsonBody("[" + good + "}]"), 400, tokenep.InvalidRequest},
		{"a string", jsonBody(`"grant_type"`), 400, tokenep.InvalidRequest},
		{"nothing", jsonBody(""), 400, tokenep.InvalidRequest},
		{"a byte order mark", jsonBody("\ufeff" + good + "}"), 400, tokenep.InvalidRequest},
		{"not UTF-8", jsonBody(good + ",\"x\":\"\xff\"}"), 400, tokenep.InvalidRequest},
		{"half a surrogate pair", jsonBody(good + `,"x":"\ud83d"}`), 400, tokenep.InvalidRequest},
		{"NUL", jsonBody(good + `,"x":"\u0000"}`), 400, tokenep.InvalidRequest},
		{"a form that claims to be JSON", raw(goodForm).with("Content-Type", "application/json").at(jsonPath), 400, tokenep.InvalidRequest},
		{"JSON that claims to be a form", raw(good + "}").at(jsonPath), 400, tokenep.InvalidRequest},
		{"JSON of another kind", jsonBody(good+"}").with("Content-Type", "application/ld+json"), 400, tokenep.InvalidRequest},
		{"64 KiB", jsonBody(good + `,"x":"` + strings.Repeat("y", 64<<10) + `"}`), 413, tokenep.InvalidRequest},
	})

	form := f.do(t, raw(goodForm).at(jsonPath))
	object := f.do(t, jsonBody(good+"}"))
	if len(form.json) != len(object.json) || form.json["scope"] != object.json["scope"] {
		t.Errorf("a form gets %s, JSON %s", form.body, object.body)
	}
}

// RFC 6749 §5.2 and §10: what a client sends does not come back in an error, and no secret reaches the log.
func TestTransportNoEcho(t *testing.T) {
	const echo = "ECHOecho"
	f := newFixture(t)
	token, _ := f.apiToken(t, anyToken)
	for _, r := range []request{
		post("grant_type", echo).by("billing"),
		post("grant_type", cc, "scope", echo).by("billing"),
		post("grant_type", cc, "scope", echo+"\"").by("billing"),
		post("grant_type", cc, "resource", echo).by("billing"),
		post("grant_type", cc, "resource", "https://"+echo+"/%zz").by("billing"),
		post("grant_type", cc, "audience", echo).by("billing"),
		post("grant_type", cc).basic(echo, echo),
		post("grant_type", cc).basic("billing", echo),
		post("grant_type", cc).with("Authorization", "Basic "+echo+"!"),
		post("grant_type", cc).with("Authorization", echo+" "+echo),
		post("grant_type", cc, "client_id", echo, "client_secret", echo),
		post("grant_type", cc, "client_id", "billing", "client_secret", echo),
		post("grant_type", cc, "client_assertion", echo, "client_assertion_type", echo),
		post("grant_type", exchange, "subject_token", echo, "subject_token_type", echo).by("billing"),
		post("grant_type", exchange, "subject_token", echo, "subject_token_type", accessToken).by("billing"),
		post("grant_type", exchange, "subject_token", echo, "subject_token_type", apiToken),
		post("grant_type", exchange, "subject_token", token, "subject_token_type", apiToken, "actor_token", echo, "actor_token_type", echo),
		post("grant_type", exchange, "subject_token", token, "subject_token_type", apiToken, "requested_token_type", echo),
		raw(goodForm + "&" + echo + "=%zz"),
		raw(goodForm).with("Content-Type", echo+"/"+echo),
		jsonBody(`{"` + echo + `":"` + echo + `",}`),
		post("token", echo).by("stranger").with("Authorization", "Basic "+echo).at(revokePath),
	} {
		a := f.do(t, r)
		if a.status < 400 || a.status > 499 {
			t.Errorf("%s: %d %s", r.body, a.status, a.body)
		}
		header, _ := json.Marshal(a.header)
		if strings.Contains(strings.ToLower(string(header)+string(a.body)), strings.ToLower(echo)) {
			t.Errorf("%s comes back: %s %s", r.body, header, a.body)
		}
	}
	for _, secret := range []string{"billing-secret", token, token[len(token)-40:]} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("the log shows a secret: %s", secret)
		}
	}
}

// State that is away is 503 with Retry-After (RFC 9110 §15.6.4): try later, and never a code that makes a client throw credentials away.
func TestTransportStoreAway(t *testing.T) {
	f := newFixture(t)
	token, _ := f.apiToken(t, anyToken)
	own := f.mint(t, tokenep.Claims{})
	f.store.away.Store(true)
	unavailable := tokenep.TemporarilyUnavailable
	f.hold(t, []rule{
		{"a client that only the store may know", post("grant_type", cc).basic("unheard-of", "x"), 503, unavailable},
		{"the same, from the body", post("grant_type", cc, "client_id", "unheard-of", "client_secret", "x"), 503, unavailable},
		{"the same, public", post("grant_type", cc, "client_id", "unheard-of"), 503, unavailable},
		{"an API token", post("grant_type", exchange, "subject_token", token, "subject_token_type", apiToken), 503, unavailable},
		{"an API token, of a dialect", post("grant_type", exchange, "subject_token", token).at(phrasePath), 503, unavailable},
		{"an API token as actor", post("grant_type", exchange, "subject_token", own, "subject_token_type", accessToken,
			"actor_token", token, "actor_token_type", apiToken).by("billing"), 503, unavailable},
		{"a revocation", post("token", own).by("billing").at(revokePath), 503, unavailable},
		{"a configured client needs no store", post("grant_type", cc).by("billing"), 200, ""},
		{"nor does its wrong secret", post("grant_type", cc).basic("billing", "x"), 401, tokenep.InvalidClient},
		{"nor a mistyped API token", post("grant_type", exchange, "subject_token", token+"x", "subject_token_type", apiToken), 400, tokenep.InvalidRequest},
	})
	if _, err := f.verify(t, own); err != nil {
		t.Errorf("a revocation that failed revoked the token: %v", err)
	}
	f.store.away.Store(false)
	f.granted(t, post("grant_type", exchange, "subject_token", token, "subject_token_type", apiToken))
}

// A request that comes before the keys are there waits for them.
func TestTransportBeforeStart(t *testing.T) {
	s, err := server.New(server.Config{Issuer: issuer, Store: newFixture(t).store, Clients: clients})
	if err != nil {
		t.Fatal(err)
	}
	routes, err := s.Mount(server.Paths{})
	if err != nil {
		t.Fatal(err)
	}
	send := func(ctx context.Context) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, tokenPath, strings.NewReader(goodForm))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		routes.Find(tokenPath).ServeHTTP(w, r)
		return w
	}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if w := send(impatient); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "5" {
		t.Errorf("who does not wait gets %d %v", w.Code, w.Header())
	}
	answered := make(chan *httptest.ResponseRecorder)
	go func() { answered <- send(t.Context()) }()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := <-answered; w.Code != http.StatusOK {
		t.Errorf("who waits gets %d %s", w.Code, w.Body)
	}
}

// What requests share (limiter, caches, log, keys) is shared safely; the race detector looks on.
func TestTransportConcurrent(t *testing.T) {
	f := newFixture(t, limited)
	text, _ := f.apiToken(t, anyToken)
	own := f.mint(t, tokenep.Claims{})
	for i := range 40 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			switch i % 5 {
			case 0:
				f.granted(t, plain.by("billing"))
			case 1:
				f.granted(t, redeem(text))
			case 2:
				f.granted(t, swap(own).by("billing"))
			case 3:
				refused(t, f.do(t, plain.basic("billing", "x")), 401, tokenep.InvalidClient)
			case 4:
				a, _ := f.granted(t, body("reports", "reports-secret"))
				if a := f.do(t, post("token", a.json["access_token"].(string)).by("reports").at(revokePath)); a.status != http.StatusOK {
					t.Errorf("revocation: %d %s", a.status, a.body)
				}
			}
		})
	}
}
