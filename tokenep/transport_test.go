package tokenep_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

const goodForm = "grant_type=client_credentials&client_id=billing&client_secret=billing-secret"

// RFC 6749 §3.2: the client MUST use POST. RFC 9110 §15.5.6: a 405 lists the methods that are
// allowed.
func TestTransportMethods(t *testing.T) {
	f := tokeneptest.New(t)
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "post"} {
		for _, path := range []string{tokenPath, jsonPath, revokePath} {
			r := raw(goodForm).At(path)
			r.Method = method
			a := f.Send(t, r)
			a.Refused(t, http.StatusMethodNotAllowed, tokenep.InvalidRequest)
			if allow := a.Header.Get("Allow"); allow != "POST, OPTIONS" {
				t.Errorf("%s %s: Allow: %s", method, path, allow)
			}
			if method == "HEAD" && len(a.Body) != 0 {
				t.Errorf("HEAD %s has a body: %s", path, a.Body)
			}
		}
	}
	a := f.Send(t, request{Method: "OPTIONS", Path: tokenPath, Header: http.Header{}})
	if a.Status != http.StatusNoContent || a.Header.Get("Allow") != "POST, OPTIONS" || len(a.Body) != 0 {
		t.Errorf("OPTIONS: %d, Allow %q, %q", a.Status, a.Header.Get("Allow"), a.Body)
	}
}

// RFC 6749 §4.4.2 and appendix B: parameters come as application/x-www-form-urlencoded, in UTF-8.
func TestTransportForm(t *testing.T) {
	good := raw(goodForm)
	typed := func(values ...string) request { return good.With("Content-Type", values...) }
	large := func(n int) request { return raw(goodForm + "&x=" + strings.Repeat("y", n-len(goodForm)-3)) }
	chunked := func(r request) request { r.Chunked = true; return r }
	tokeneptest.New(t).Run(t, []rule{
		grants("3.2: a form", good),
		grants("9110 8.3.1: parameters of the type", typed("application/x-www-form-urlencoded; charset=utf-8")),
		grants("9110 8.3.1: no space, quoted", typed(`application/x-www-form-urlencoded;charset="UTF-8"`)),
		grants("9110 8.3.1: upper case", typed("Application/X-WWW-Form-URLEncoded")),
		grants("9112 7.1: chunked", chunked(good)),
		grants("B: escapes in names and values", raw(strings.Replace(goodForm, "client_id=b", "client%5Fid=%62", 1))),
		grants("3.2: unknown parameters are ignored, even twice", raw(goodForm+"&nonce=1&nonce=2&nonce=&%C3%A4=1")),
		grants("3.2: an unknown parameter is not a known one in other letters", raw(goodForm+"&Grant_Type=password&SCOPE=x")),
		grants("B: empty pairs", raw("&&"+goodForm+"&")),
		grants("64 KiB", large(64<<10)),

		refuses("no type", typed(), 400, tokenep.InvalidRequest),
		refuses("an empty type", typed(""), 400, tokenep.InvalidRequest),
		refuses("text/plain", typed("text/plain"), 400, tokenep.InvalidRequest),
		refuses("multipart", typed("multipart/form-data; boundary=x"), 400, tokenep.InvalidRequest),
		refuses("JSON where it is not set", typed("application/json"), 400, tokenep.InvalidRequest),
		refuses("9110 5.3: the type twice", typed("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"), 400, tokenep.InvalidRequest),
		refuses("9110 5.3: two types in a line", typed("application/x-www-form-urlencoded, text/plain"), 400, tokenep.InvalidRequest),
		refuses("9110 8.4: compressed", good.With("Content-Encoding", "gzip"), 400, tokenep.InvalidRequest),
		grants("9110 8.4: identity is no coding", good.With("Content-Encoding", "identity")),
		refuses("no body", raw(""), 400, tokenep.InvalidRequest),

		refuses("more than 64 KiB", large(64<<10+1), 413, tokenep.InvalidRequest),
		refuses("more than 64 KiB, chunked", chunked(large(64<<10+1)), 413, tokenep.InvalidRequest),
		refuses("a megabyte", large(1<<20), 413, tokenep.InvalidRequest),

		refuses("B: a broken escape", raw(goodForm+"&x=%zz"), 400, tokenep.InvalidRequest),
		refuses("B: half an escape", raw(goodForm+"&x=%4"), 400, tokenep.InvalidRequest),
		refuses("B: a broken escape in a name", raw(goodForm+"&%zz=x"), 400, tokenep.InvalidRequest),
		refuses("B: semicolons", raw(strings.ReplaceAll(goodForm, "&", ";")), 400, tokenep.InvalidRequest),
		refuses("B: not UTF-8", raw(goodForm+"&x=%ff"), 400, tokenep.InvalidRequest),
		refuses("B: not UTF-8, raw", raw(goodForm+"&x=\xff"), 400, tokenep.InvalidRequest),
		refuses("B: not UTF-8 in a name", raw(goodForm+"&%ff=x"), 400, tokenep.InvalidRequest),
		refuses("B: NUL", raw(goodForm+"&x=%00"), 400, tokenep.InvalidRequest),
		refuses("B: NUL in a name", raw(goodForm+"&%00=x"), 400, tokenep.InvalidRequest),

		refuses("2.3.1: nothing is read from the URL", raw("").At(tokenPath+"?"+goodForm), 400, tokenep.InvalidRequest),
		refuses("2.3.1: no secret from the URL", post("grant_type", cc, "client_id", "billing").At(tokenPath+"?client_secret=billing-secret"), 401, tokenep.InvalidClient),
		refuses("2.3.1: no client from the URL", post("grant_type", cc).At(tokenPath+"?client_id=billing&client_secret=billing-secret"), 401, tokenep.InvalidClient),
		grants("2.3.1: the URL does not stand against the body", good.At(tokenPath+"?grant_type=x&client_secret=wrong&scope=%22")),
	})
}

// RFC 6749 §3.2: "Request and response parameters MUST NOT be included more than once", and a
// parameter without a value counts as absent.
func TestTransportRepeated(t *testing.T) {
	var rules []rule
	for _, name := range []string{
		"grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type", "code", "redirect_uri", "code_verifier",
		"refresh_token", "username", "password", "assertion", "device_code", "subject_token", "subject_token_type", "actor_token",
		"actor_token_type", "requested_token_type", "token", "token_type_hint",
	} {
		rules = append(rules,
			refuses("twice: "+name, raw(goodForm+"&"+name+"=a&"+name+"=a"), 400, tokenep.InvalidRequest),
			refuses("with and without a value: "+name, raw(goodForm+"&"+name+"=a&"+name+"="), 400, tokenep.InvalidRequest))
	}
	for _, name := range []string{
		"scope", "code", "redirect_uri", "refresh_token", "actor_token", "actor_token_type", "requested_token_type", "audience", "resource",
		"client_assertion", "client_assertion_type",
	} {
		rules = append(rules,
			grants("empty: "+name, raw(goodForm+"&"+name+"=")),
			grants("without =: "+name, raw(goodForm+"&"+name)))
	}
	rules = append(rules,
		grants("8707 2: resource twice", post("grant_type", cc, "resource", orders, "resource", invoices).By("billing")),
		grants("8693 2.1: audience twice", post("grant_type", cc, "audience", orders, "audience", invoices, "audience", "").By("billing")),
		refuses("equal values too", raw(goodForm+"&grant_type=client_credentials"), 400, tokenep.InvalidRequest),
		refuses("3.2: an empty grant_type is none", raw("grant_type=").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.3.1: an empty client_secret is none", post("grant_type", cc, "client_id", "billing", "client_secret", ""), 401, tokenep.InvalidClient),
		grants("a dialect ignores a parameter however often it comes", post("grant_type", cc, "scope", "x", "scope", "y").By("reports").At(phrasePath)))
	tokeneptest.New(t).Run(t, rules)
}

// RFC 6749 §3.2 holds for the members of a JSON body as for parameters, and RFC 8259 §4 for their
// names.
func TestTransportJSON(t *testing.T) {
	const who = `"client_id":"billing","client_secret":"billing-secret"`
	const good = `{"grant_type":"client_credentials",` + who
	f := tokeneptest.New(t)
	f.Run(t, []rule{
		grants("a JSON object", jsonBody(good+"}")),
		grants("with white space", jsonBody(" \n"+good+"\n}\n")),
		grants("type with charset", jsonBody(good+"}").With("Content-Type", "Application/JSON; charset=utf-8")),
		grants("Basic beside it", jsonBody(`{"grant_type":"client_credentials"}`).By("billing")),
		grants("an escaped name is the same name", jsonBody(`{"grant\u005ftype":"client_credentials",`+who+"}")),
		grants("an empty member is none", jsonBody(good+`,"scope":"","resource":"","actor_token":""}`)),
		grants("an unknown member", jsonBody(good+`,"nonce":"1"}`)),
		grants("a pair of surrogates", jsonBody(good+`,"nonce":"\ud83d\ude00"}`)),
		grants("null is no member", jsonBody(good+`,"scope":null,"actor_token":null}`)),
		grants("an unknown number", jsonBody(good+`,"x":1}`)),
		grants("an unknown huge number", jsonBody(good+`,"x":1e999}`)),
		grants("an unknown object", jsonBody(good+`,"x":{"scope":[null]}}`)),
		grants("an unknown true", jsonBody(good+`,"x":true}`)),
		grants("a form at the same path", raw(goodForm).At(jsonPath)),

		refuses("a member twice", jsonBody(good+`,"scope":"orders:read","scope":"orders:read"}`), 400, tokenep.InvalidRequest),
		refuses("a member twice, once escaped", jsonBody(good+`,"grant\u005ftype":"client_credentials"}`), 400, tokenep.InvalidRequest),
		refuses("an unknown member twice", jsonBody(good+`,"x":"","x":""}`), 400, tokenep.InvalidRequest),
		refuses("names are case-sensitive", jsonBody(`{"GRANT_TYPE":"client_credentials",`+who+"}"), 400, tokenep.InvalidRequest),
		refuses("an array", jsonBody(good+`,"scope":["orders:read"]}`), 400, tokenep.InvalidRequest),
		refuses("a number", jsonBody(good+`,"scope":1}`), 400, tokenep.InvalidRequest),
		refuses("a list of one", jsonBody(good+`,"resource":["https://api.example"]}`), 400, tokenep.InvalidRequest),
		refuses("a parameter of another grant that is true", jsonBody(good+`,"code":true}`), 400, tokenep.InvalidRequest),
		refuses("a secret that is a number", jsonBody(`{"grant_type":"client_credentials","client_id":"billing","client_secret":1}`), 400, tokenep.InvalidRequest),
		refuses("a grant_type that is null", jsonBody(`{"grant_type":null,`+who+"}"), 400, tokenep.InvalidRequest),
		refuses("null twice", jsonBody(good+`,"scope":null,"scope":null}`), 400, tokenep.InvalidRequest),
		refuses("data behind it", jsonBody(good+"}x"), 400, tokenep.InvalidRequest),
		refuses("two objects", jsonBody(good+"}{}"), 400, tokenep.InvalidRequest),
		refuses("an object that does not end", jsonBody(good), 400, tokenep.InvalidRequest),
		refuses("a comma too many", jsonBody(good+",}"), 400, tokenep.InvalidRequest),
		refuses("a list", jsonBody("["+good+"}]"), 400, tokenep.InvalidRequest),
		refuses("a string", jsonBody(`"grant_type"`), 400, tokenep.InvalidRequest),
		refuses("nothing", jsonBody(""), 400, tokenep.InvalidRequest),
		refuses("a byte order mark", jsonBody("\ufeff"+good+"}"), 400, tokenep.InvalidRequest),
		refuses("not UTF-8", jsonBody(good+",\"x\":\"\xff\"}"), 400, tokenep.InvalidRequest),
		refuses("half a surrogate pair", jsonBody(good+`,"x":"\ud83d"}`), 400, tokenep.InvalidRequest),
		refuses("NUL", jsonBody(good+`,"x":"\u0000"}`), 400, tokenep.InvalidRequest),
		refuses("a form that claims to be JSON", raw(goodForm).With("Content-Type", "application/json").At(jsonPath), 400, tokenep.InvalidRequest),
		refuses("JSON that claims to be a form", raw(good+"}").At(jsonPath), 400, tokenep.InvalidRequest),
		refuses("JSON of another kind", jsonBody(good+"}").With("Content-Type", "application/ld+json"), 400, tokenep.InvalidRequest),
		refuses("64 KiB", jsonBody(good+`,"x":"`+strings.Repeat("y", 64<<10)+`"}`), 413, tokenep.InvalidRequest),
	})

	form := f.Send(t, raw(goodForm).At(jsonPath))
	object := f.Send(t, jsonBody(good+"}"))
	if len(form.JSON) != len(object.JSON) || form.JSON["scope"] != object.JSON["scope"] {
		t.Errorf("a form gets %s, JSON %s", form.Body, object.Body)
	}
}

// RFC 6749 §5.2 and §10: an error never repeats what the client sent, and no secret is logged.
func TestTransportNoEcho(t *testing.T) {
	const echo = "ECHOecho"
	f := tokeneptest.New(t)
	token, _ := f.NewAPIToken(t, anyToken)
	for _, r := range []request{
		post("grant_type", echo).By("billing"),
		post("grant_type", cc, "scope", echo).By("billing"),
		post("grant_type", cc, "scope", echo+"\"").By("billing"),
		post("grant_type", cc, "resource", echo).By("billing"),
		post("grant_type", cc, "resource", "https://"+echo+"/%zz").By("billing"),
		post("grant_type", cc, "audience", echo).By("billing"),
		post("grant_type", cc).Basic(echo, echo),
		post("grant_type", cc).Basic("billing", echo),
		post("grant_type", cc).With("Authorization", "Basic "+echo+"!"),
		post("grant_type", cc).With("Authorization", echo+" "+echo),
		post("grant_type", cc, "client_id", echo, "client_secret", echo),
		post("grant_type", cc, "client_id", "billing", "client_secret", echo),
		post("grant_type", cc, "client_assertion", echo, "client_assertion_type", echo),
		post("grant_type", exchange, "subject_token", echo, "subject_token_type", echo).By("billing"),
		post("grant_type", exchange, "subject_token", echo, "subject_token_type", accessToken).By("billing"),
		post("grant_type", exchange, "subject_token", echo, "subject_token_type", apiToken),
		post("grant_type", exchange, "subject_token", token, "subject_token_type", apiToken, "actor_token", echo, "actor_token_type", echo),
		post("grant_type", exchange, "subject_token", token, "subject_token_type", apiToken, "requested_token_type", echo),
		raw(goodForm + "&" + echo + "=%zz"),
		raw(goodForm).With("Content-Type", echo+"/"+echo),
		jsonBody(`{"` + echo + `":"` + echo + `",}`),
		post("token", echo).By("stranger").With("Authorization", "Basic "+echo).At(revokePath),
	} {
		a := f.Send(t, r)
		if a.Status < 400 || a.Status > 499 {
			t.Errorf("%s: %d %s", r.Body, a.Status, a.Body)
		}
		header, _ := json.Marshal(a.Header)
		if strings.Contains(strings.ToLower(string(header)+string(a.Body)), strings.ToLower(echo)) {
			t.Errorf("%s comes back: %s %s", r.Body, header, a.Body)
		}
	}
	for _, secret := range []string{"billing-secret", token, token[len(token)-40:]} {
		if strings.Contains(f.Log.String(), secret) {
			t.Errorf("the log shows a secret: %s", secret)
		}
	}
}

// A store that is away is 503 with Retry-After (RFC 9110 §15.6.4), and never a code that makes a
// client throw its credentials away.
func TestTransportStoreAway(t *testing.T) {
	f := tokeneptest.New(t)
	token, _ := f.NewAPIToken(t, anyToken)
	own := f.Mint(t, tokenep.Claims{})
	f.Store.SetAway(true)
	unavailable := tokenep.TemporarilyUnavailable
	f.Run(t, []rule{
		refuses("a client that only the store may know", post("grant_type", cc).Basic("unheard-of", "x"), 503, unavailable),
		refuses("the same, from the body", post("grant_type", cc, "client_id", "unheard-of", "client_secret", "x"), 503, unavailable),
		refuses("the same, public", post("grant_type", cc, "client_id", "unheard-of"), 503, unavailable),
		refuses("an API token", post("grant_type", exchange, "subject_token", token, "subject_token_type", apiToken), 503, unavailable),
		refuses("an API token, of a dialect", post("grant_type", exchange, "subject_token", token).At(phrasePath), 503, unavailable),
		refuses("an API token as actor", post("grant_type", exchange, "subject_token", own, "subject_token_type", accessToken,
			"actor_token", token, "actor_token_type", apiToken).By("billing"), 503, unavailable),
		refuses("a revocation", post("token", own).By("billing").At(revokePath), 503, unavailable),
		grants("a configured client needs no store", post("grant_type", cc).By("billing")),
		refuses("nor does its wrong secret", post("grant_type", cc).Basic("billing", "x"), 401, tokenep.InvalidClient),
		refuses("nor a mistyped API token", post("grant_type", exchange, "subject_token", token+"x", "subject_token_type", apiToken), 400, tokenep.InvalidRequest),
	})
	if _, err := f.Verify(t, own); err != nil {
		t.Errorf("a revocation that failed revoked the token: %v", err)
	}
	f.Store.SetAway(false)
	f.Granted(t, post("grant_type", exchange, "subject_token", token, "subject_token_type", apiToken))
}

// A request that comes before the keys are loaded waits for them.
func TestTransportBeforeStart(t *testing.T) {
	s, err := server.New(server.Config{Issuer: issuer, Store: tokeneptest.New(t).Store, Clients: tokeneptest.Clients()})
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

// Requests share the limiter, the caches, the log and the keys; the race detector checks that they
// do so safely.
func TestTransportConcurrent(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.Limited)
	text, _ := f.NewAPIToken(t, anyToken)
	own := f.Mint(t, tokenep.Claims{})
	for i := range 40 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			switch i % 5 {
			case 0:
				f.Granted(t, plain.By("billing"))
			case 1:
				f.Granted(t, redeem(text))
			case 2:
				f.Granted(t, swap(own).By("billing"))
			case 3:
				f.Send(t, plain.Basic("billing", "x")).Refused(t, 401, tokenep.InvalidClient)
			case 4:
				a, _ := f.Granted(t, post("grant_type", cc, "client_id", "reports", "client_secret", "reports-secret"))
				if a := f.Send(t, post("token", a.AccessToken()).By("reports").At(revokePath)); a.Status != http.StatusOK {
					t.Errorf("revocation: %d %s", a.Status, a.Body)
				}
			}
		})
	}
}
