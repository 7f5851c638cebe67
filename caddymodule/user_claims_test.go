package caddymodule_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/verify"
)

// known is a handler that sets variables to what a test says, as a plugin for authentication may:
// lists, numbers and worse.
type known struct{}

var knownNow map[string]any // of the test that runs

func init() {
	caddy.RegisterModule(known{})
	httpcaddyfile.RegisterHandlerDirective("test_known", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next() // consume directive name
		return known{}, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_known", httpcaddyfile.After, "vars")
}

func (known) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_known", New: func() caddy.Module { return new(known) }}
}

func (known) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	for name, value := range knownNow {
		caddyhttp.SetVar(r.Context(), name, value)
	}
	return next.ServeHTTP(w, r)
}

// peopleClient takes a user through the code flow, without a page.
type peopleClient struct {
	*http.Client
	site  string
	login func(*http.Request)
}

func (p peopleClient) fetch(t *testing.T, method, path, form string, change func(*http.Request)) (*http.Response, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.site+path, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	change(r)
	res, err := p.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	_ = json.Unmarshal(body, &members) // some answers are none
	return res, members
}

// told returns what the ID token and userinfo say of the user.
func (p peopleClient) told(t *testing.T, scope string) (idToken, userInfo map[string]any) {
	t.Helper()
	ask := url.Values{
		"response_type": {"code"}, "client_id": {"notes"}, "code_challenge_method": {"S256"}, "scope": {scope},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
	}
	res, _ := p.fetch(t, http.MethodGet, "/oauth/authorize?"+ask.Encode(), "", p.login)
	to, err := res.Location()
	if err != nil || to.Query().Get("code") == "" {
		t.Fatalf("%d %v %v", res.StatusCode, to, err)
	}
	redeem := url.Values{
		"grant_type": {"authorization_code"}, "code": to.Query()["code"], "code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
		"client_id": {"notes"}, "client_secret": {"demo"},
	}
	_, tokens := p.fetch(t, http.MethodPost, "/oauth/token", redeem.Encode(), func(*http.Request) {})
	text, _ := tokens["id_token"].(string)
	assertion, err := verify.ParseAssertion(text)
	if err != nil {
		t.Fatalf("%v %v", tokens, err)
	}
	_, userInfo = p.fetch(t, http.MethodGet, "/oauth/userinfo", "", func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+tokens["access_token"].(string))
	})
	return assertion.Claims().Claims, userInfo
}

func newPeopleClient(site string, config *tls.Config, login func(*http.Request)) peopleClient {
	return peopleClient{&http.Client{
		Transport:     &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, site, login}
}

const notesClient = `
	client notes {
		secret demo
		grants authorization_code
		redirect_uris https://notes.example/callback
		scope openid profile email address phone groups
		skip_consent
	}`

// OpenID Connect Core §5.1: each claim has the type that it has to have, or is not there.
func TestUserClaimTypes(t *testing.T) {
	c := newCaddy(t)
	c.mustLoad(runServer("memory", `identity {http.vars.user} {
		auth_time {http.vars.since}
		acr {http.vars.acr}
		amr {http.vars.amr}
		claim name {http.vars.name}
		claim email {http.vars.email}
		claim email_verified {http.vars.verified}
		claim updated_at {http.vars.updated}
		claim address.locality {http.vars.city}
		claim groups {http.vars.groups} groups
	}`+notesClient), "%SITE% {\n\ttest_known\n\toauth_token\n}\n")
	p := newPeopleClient(c.site, nil, func(*http.Request) {})
	long := strings.Repeat("x", 1025)
	many := slices.Repeat([]string{strings.Repeat("x", 1000)}, 9)
	for name, row := range map[string]struct {
		known map[string]any
		want  string // of userinfo, without sub
	}{
		"texts":                    {map[string]any{"name": "Ada", "email": "a@x.example", "city": "Lund", "groups": "staff"}, `{"name":"Ada","email":"a@x.example","address":{"locality":"Lund"},"groups":"staff"}`},
		"a list where one text is": {map[string]any{"email": []string{"a@x.example"}, "city": []any{"Lund"}, "name": []string{"Ada"}}, `{}`},
		"a list":                   {map[string]any{"groups": []string{"a", "b"}}, `{"groups":["a","b"]}`},
		"a list of any":            {map[string]any{"groups": []any{"a", "b"}}, `{"groups":["a","b"]}`},
		"a list of others":         {map[string]any{"groups": []any{"a", 1}}, `{}`},
		"an empty list":            {map[string]any{"groups": []string{}}, `{}`},
		"a list that is too long":  {map[string]any{"groups": many, "name": "Ada"}, `{"name":"Ada"}`},
		"a text that is too long":  {map[string]any{"groups": long, "name": long, "email": "a@x.example"}, `{"email":"a@x.example"}`},
		"numbers":                  {map[string]any{"name": 42, "updated": 1.7e9, "groups": 7}, `{"name":"42","updated_at":1700000000,"groups":7}`},
		"true and false":           {map[string]any{"verified": false, "groups": true}, `{"email_verified":false,"groups":true}`},
		"true and false as texts":  {map[string]any{"verified": "true"}, `{"email_verified":true}`},
		"what is neither":          {map[string]any{"verified": "perhaps", "updated": "yesterday"}, `{}`},
		"times":                    {map[string]any{"updated": "2023-11-14T22:13:20Z"}, `{"updated_at":1700000000}`},
		"nothing that is of use":   {map[string]any{"name": (*int)(nil), "email": (*big.Int)(nil), "city": struct{}{}, "groups": nil}, `{}`},
		"no UTF-8":                 {map[string]any{"name": "\xff"}, `{}`},
	} {
		knownNow = map[string]any{"user": "ada " + name}
		for key, value := range row.known {
			knownNow[key] = value
		}
		_, told := p.told(t, "openid profile email address groups")
		delete(told, "sub")
		text, err := json.Marshal(told)
		var want map[string]any
		if err == nil {
			err = json.Unmarshal([]byte(row.want), &want)
		}
		wanted, _ := json.Marshal(want)
		if err != nil || string(text) != string(wanted) {
			t.Errorf("%s: %s, want %s %v", name, text, wanted, err)
		}
	}
	for name, row := range map[string]struct {
		known          map[string]any
		time, acr, amr string
	}{
		"texts":           {map[string]any{"since": "1700000000", "acr": "silver", "amr": "pwd otp"}, "1700000000", `"silver"`, `["pwd","otp"]`},
		"other types":     {map[string]any{"since": 1700000000, "acr": 1, "amr": []string{"pwd"}}, "1700000000", "null", `["pwd"]`},
		"in the future":   {map[string]any{"since": "2200-01-01T00:00:00Z"}, "null", "null", "null"},
		"too many":        {map[string]any{"amr": many}, "null", "null", "null"},
		"nobody knows it": {nil, "null", "null", "null"},
	} {
		knownNow = map[string]any{"user": "ada"}
		for key, value := range row.known {
			knownNow[key] = value
		}
		token, _ := p.told(t, "openid")
		got, err := json.Marshal([]any{token["auth_time"], token["acr"], token["amr"]})
		if want := "[" + row.time + "," + row.acr + "," + row.amr + "]"; err != nil || string(got) != want {
			t.Errorf("%s: %s, want %s %v", name, got, want, err)
		}
	}
}

// What is in a certificate of the user's is believed only if the connection has verified it, also
// where the name comes from elsewhere.
func TestUserClaimsOfACertificate(t *testing.T) {
	ca := newCertificate(t, "authority", nil)
	for name, row := range map[string]struct {
		mode        string
		certificate *tls.Certificate
		want        string
	}{
		"verified":       {"mode verify_if_given\ntrust_pool file %CA%", newCertificate(t, "ceo", ca), "CN=ceo,O=Example"},
		"not verified":   {"mode request", newCertificate(t, "ceo", nil), ""},
		"no certificate": {"mode request", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCaddy(t)
			port, err := freePort()
			if err != nil {
				t.Fatal(err)
			}
			caFile, _ := writeCertificate(t, c.dir, "ca", ca)
			certificate, key := writeCertificate(t, c.dir, "localhost", newCertificate(t, "localhost", ca))
			c.mustLoad("auto_https disable_redirects\n"+runServer("memory", `identity {
				acr {http.request.tls.client.subject}
				claim groups {http.request.tls.client.fingerprint} groups
			}`+notesClient), site("")+`
https://localhost:`+port+` {
	tls `+certificate+` `+key+` {
		client_auth {
			`+strings.ReplaceAll(row.mode, "%CA%", caFile)+`
		}
	}
	basic_auth /oauth/authorize {
		ada $2a$10$ppL/g6WBfdetefbQxI8fHObXK9izlK0WSxVoEy/2h0yxEVBTFK1Su
	}
	oauth_token
}`)
			roots := x509.NewCertPool()
			roots.AddCert(ca.Leaf)
			config := &tls.Config{RootCAs: roots}
			if row.certificate != nil {
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return row.certificate, nil }
			}
			p := newPeopleClient("https://localhost:"+port, config, func(r *http.Request) { r.SetBasicAuth("ada", "wonderland") })
			token, told := p.told(t, "openid groups")
			if acr, _ := token["acr"].(string); acr != row.want || (told["groups"] != nil) != (row.want != "") || told["sub"] != "ada" {
				t.Errorf("acr %q, want %q; %v", acr, row.want, told)
			}
		})
	}
}
