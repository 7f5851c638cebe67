package endpoint_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const registerPath = "/oauth/register"

// registering is a Change: anybody may register a client, and manage it.
func registering(c *server.Config) {
	tokeneptest.WithPeople(c)
	c.Registration = &server.Registration{
		Open: true, Management: true,
		Template: endpoint.RegistrationTemplate{
			GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"},
			Scope:      verify.Scope{"openid", "read", "write"}, Audience: []string{tokeneptest.Orders},
			RedirectURIs: []tokenep.RedirectPattern{"https://*.app.example/cb", "http://127.0.0.1/*", "com.example.app:/callback"},
		},
	}
}

// byInvitation is a Change: whoever has the token may register, and nobody can manage anything.
func byInvitation(c *server.Config) {
	registering(c)
	c.Registration.Open, c.Registration.Management = false, false
	c.Registration.InitialAccessTokens = []string{tokenep.HashSecret("another"), tokenep.HashSecret("the-token")}
}

func register(body string) request {
	r := tokeneptest.PostForm(body).With("Content-Type", "application/json")
	return r.At(registerPath)
}

// document is a registration with further members, written without the braces.
func document(members string) string {
	return strings.TrimSuffix(`{"redirect_uris":["https://a.app.example/cb"],`+members, ",") + "}"
}

// RFC 7591 §2, §3.1 and §3.2.2: what is refused. Nothing is written.
func TestRegistrationRules(t *testing.T) {
	s := tokeneptest.New(t, registering)
	const metadata, redirect = tokenep.InvalidClientMetadata, tokenep.InvalidRedirectURI
	bad := func(name, members string) rule { return refuses(name, register(document(members)), 400, metadata) }
	at := func(name, uris string) rule {
		return refuses(name, register(`{"redirect_uris":`+uris+`}`), 400, redirect)
	}
	key := string(verifytest.New(issuer, tokeneptest.Orders).JWKS())
	s.Run(t, []rule{
		refuses("3.1: a form", post("client_name", "x").At(registerPath), 400, tokenep.InvalidRequest),
		refuses("3.1: no media type", register("{}").With("Content-Type"), 400, tokenep.InvalidRequest),
		refuses("3.1: too large", register(`{"x":"`+strings.Repeat("x", 64<<10)+`"}`), 413, tokenep.InvalidRequest),
		refuses("3.1: no object", register(`[]`), 400, metadata),
		refuses("3.1: empty", register(``), 400, metadata),
		refuses("3.1: half an object", register(`{"a":1`), 400, metadata),
		refuses("3.1: two objects", register(document("")+document("")), 400, metadata),
		refuses("3.1: not UTF-8", register(document("\"x\":\"\xff\"")), 400, metadata),
		bad("3.1: a member twice", `"scope":"read","scope":"write"`),
		bad("3.1: a member twice, once as null", `"scope":null,"scope":"write"`),
		bad("3.1: an unknown member twice", `"x":1,"x":2`),
		bad("2: half a character", `"client_name":"\ud800"`),
		bad("2: a name that is an object", `"client_name":{}`),
		bad("2: a scope that is a list", `"scope":["read"]`),
		bad("2: grant_types that are a string", `"grant_types":"authorization_code"`),
		bad("2: a null among the grant_types", `"grant_types":[null]`),
		bad("2: other grants alone", `"grant_types":["implicit","password"]`),
		bad("2: the short name of a grant", `"grant_types":["token_exchange"]`),
		bad("2: refresh_token alone", `"grant_types":["refresh_token"]`),
		bad("2: a public client for itself", `"grant_types":["client_credentials"],"token_endpoint_auth_method":"none"`),
		bad("2.1: response_types of another grant", `"response_types":["token"]`),
		bad("2: an unknown method", `"token_endpoint_auth_method":"client_secret_jwt"`),
		bad("2: a malformed scope", `"scope":"\"read\""`),
		bad("2: a scope of others", `"scope":"admin root"`),
		bad("2: a name that moves a cursor", `"client_name":"\u001b[2J"`),
		bad("2: a long name", `"client_name":"`+strings.Repeat("x", 129)+`"`),
		bad("2: private_key_jwt without a key", `"token_endpoint_auth_method":"private_key_jwt"`),
		bad("2: both jwks and jwks_uri", `"token_endpoint_auth_method":"private_key_jwt","jwks":`+key+`,"jwks_uri":"https://app.example/jwks"`),
		bad("2: both, of another method", `"jwks":`+key+`,"jwks_uri":"https://app.example/jwks"`),
		bad("9126 6: a flag that is a string", `"require_pushed_authorization_requests":"true"`),
		bad("2: jwks that are none", `"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[]}`),
		bad("2: jwks_uri of this machine", `"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://localhost:2019/config/"`),
		bad("2: jwks_uri of this machine by https", `"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://LOCALHOST/"`),
		bad("2: jwks_uri of an address", `"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://[::1]/"`),
		bad("2: keys of another algorithm", `"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_signing_alg":"HS256","jwks":`+key),
		bad("OIDC 2: ID tokens that nobody signs", `"scope":"openid","id_token_signed_response_alg":"none"`),
		refuses("2.3: what is no software statement", register(document(`"software_statement":"x"`)), 400, tokenep.InvalidSoftwareStatement),
		refuses("2.3: a software statement", register(document(`"software_statement":"e30.e30.x"`)), 400, tokenep.UnapprovedSoftwareStatement),
		refuses("2: no redirect URI", register(`{}`), 400, redirect),
		at("2: null in its place", `null`),
		at("2: a string", `"https://a.app.example/cb"`),
		at("2: a null among them", `[null]`),
		at("2: one of two", `["https://a.app.example/cb","https://evil.example/cb"]`),
		at("5: a fragment", `["https://a.app.example/cb#x"]`),
		at("5: a script", `["javascript:alert(1)"]`),
		at("5: http", `["http://a.app.example/cb"]`),
		at("5: another path", `["https://a.app.example/cb/../x"]`),
		at("5: two labels", `["https://a.b.app.example/cb"]`),
		at("5: a host around the pattern", `["https://evil.example/a.app.example/cb"]`),
		refuses("3: GET without a token", get(registerPath), 401, tokenep.InvalidToken),
	})
}

// RFC 7591 §2 and §3.2.1: what a registration asks for, and what it gets. The template is the most.
func TestRegistrationNarrows(t *testing.T) {
	s := tokeneptest.New(t, registering)
	all := map[string]any{
		"grant_types": []any{"authorization_code"}, "response_types": []any{"code"}, "scope": "openid read write",
		"redirect_uris": []any{"https://a.app.example/cb"}, "token_endpoint_auth_method": "client_secret_basic", "client_secret_expires_at": 0.0,
	}
	for _, row := range []struct {
		name, members string
		differs       map[string]any // from all; nil: it is not there
	}{
		{"2: defaults", ``, nil},
		{"2: null is absent", `"scope":null,"grant_types":null,"response_types":null,"client_name":null,"jwks":null,"token_endpoint_auth_method":null`, nil},
		{"2: an empty scope", `"scope":""`, nil},
		{"2: empty lists", `"grant_types":[],"response_types":[]`, nil},
		{"2: unknown members", `"x":{"y":[1]},"SCOPE":"read","jwks_url":"https://app.example/keys","contacts":["a@app.example"]`, nil},
		{"2: a narrow scope", `"scope":"write"`, map[string]any{"scope": "write"}},
		{"2: a wide scope", `"scope":"admin write read offline_access"`, map[string]any{"scope": "read write"}},
		{"2: grants", `"grant_types":["refresh_token","authorization_code"]`, map[string]any{"grant_types": []any{"authorization_code", "refresh_token"}}},
		{"2: other grants", `"grant_types":["implicit","authorization_code"],"response_types":["token","code","id_token"]`, nil},
		{"2: a client for itself", `"grant_types":["client_credentials"],"response_types":["code"]`,
			map[string]any{"grant_types": []any{"client_credentials"}, "response_types": []any{}, "redirect_uris": nil}},
		{"2: a public client", `"token_endpoint_auth_method":"none","grant_types":["authorization_code","client_credentials"]`,
			map[string]any{"token_endpoint_auth_method": "none", "client_secret_expires_at": nil}},
		{"2: the body", `"token_endpoint_auth_method":"client_secret_post"`, map[string]any{"token_endpoint_auth_method": "client_secret_post"}},
		{"2: a name and a page", `"client_name":"Größe","client_uri":"https://app.example/"`, map[string]any{"client_name": "Größe", "client_uri": "https://app.example/"}},
		{"9126 6: pushed requests alone", `"require_pushed_authorization_requests":true`, map[string]any{"require_pushed_authorization_requests": true}},
		{"9126 6: any requests", `"require_pushed_authorization_requests":false`, nil},
		{"2: what people see", `"logo_uri":"https://app.example/logo","policy_uri":"https://app.example/policy","tos_uri":"https://app.example/tos"`, map[string]any{
			"logo_uri": "https://app.example/logo", "policy_uri": "https://app.example/policy", "tos_uri": "https://app.example/tos",
		}},
		{"2: what they cannot see", `"logo_uri":"https://a.example;sandbox/x.png","policy_uri":"http://app.example/policy","tos_uri":"https://me@app.example"`, nil},
		{"5: a page that is none", `"client_uri":"javascript:alert(1)"`, nil},
		{"2: keys without their method", `"jwks_uri":"https://app.example/jwks"`, nil},
		{"2: keys", `"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://app.example/jwks","token_endpoint_auth_signing_alg":"ES256"`, map[string]any{
			"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example/jwks",
			"token_endpoint_auth_signing_alg": "ES256", "client_secret_expires_at": nil,
		}},
		{"OIDC 2: the algorithm of ID tokens", `"id_token_signed_response_alg":"RS256"`, map[string]any{"id_token_signed_response_alg": "RS256"}},
		{"8707: an audience", `"audience":["https://evil.example"],"skip_consent":true,"introspect":["*"]`, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := s.Send(t, register(document(row.members)))
			if a.Status != 201 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			a.NotStored(t)
			id, _ := a.JSON["client_id"].(string)
			c, err := s.Clients.Load(t.Context(), id)
			if err != nil || !c.SelfRegistered || c.SkipConsent || c.Introspect != nil || !slices.Equal(c.Audience, []string{tokeneptest.Orders}) {
				t.Errorf("%+v, %v", c, err)
			}
			if a.JSON["client_id_issued_at"] != float64(s.Clock.Now().Unix()) || (a.JSON["client_secret"] != nil) != c.NeedsSecret() {
				t.Errorf("%s", a.Body)
			}
			for _, name := range []string{"client_id", "client_secret", "client_id_issued_at", "registration_access_token", "registration_client_uri"} {
				delete(a.JSON, name)
			}
			want := map[string]any{}
			for name, value := range all {
				want[name] = value
			}
			for name, value := range row.differs {
				if want[name] = value; value == nil {
					delete(want, name)
				}
			}
			if !tokeneptest.EqualJSON(a.JSON, want) {
				t.Errorf("registered %v, want %v", a.JSON, want)
			}
		})
	}
}

// RFC 7591 §3: with initial access tokens nobody registers without one. RFC 6750 §3.1: a request
// without a token is told no error code in the challenge.
func TestInitialAccessToken(t *testing.T) {
	s := tokeneptest.New(t, byInvitation)
	r := register(document(""))
	s.Run(t, []rule{
		refuses("3: none", r, 401, tokenep.InvalidToken),
		refuses("3: another", r.With("Authorization", "Bearer the-tokem"), 401, tokenep.InvalidToken),
		refuses("3: empty", r.With("Authorization", "Bearer "), 401, tokenep.InvalidToken),
		refuses("3: its hash", r.With("Authorization", "Bearer "+tokenep.HashSecret("the-token")), 401, tokenep.InvalidToken),
		refuses("3: as Basic", r.Basic("the-token", ""), 401, tokenep.InvalidToken),
		refuses("7592: no management", get(registerPath+"?client_id=x").With("Authorization", "Bearer the-token"), 405, tokenep.InvalidRequest),
	})
	for header, want := range map[string]string{"": `Bearer realm="registration"`, "Bearer x": `Bearer realm="registration", error="invalid_token"`} {
		req := r
		if header != "" {
			req = r.With("Authorization", header)
		}
		if got := s.Send(t, req).Header.Get("WWW-Authenticate"); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	for _, token := range []string{"Bearer the-token", "bearer another"} {
		a := s.Send(t, r.With("Authorization", token))
		if a.Status != 201 || a.JSON["registration_client_uri"] != nil || a.JSON["registration_access_token"] != nil {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
}

// RFC 8414 §2: the metadata name the endpoint where there is one, and what clients may ask for.
func TestRegistrationInMetadata(t *testing.T) {
	for want, change := range map[string]tokeneptest.Change{issuer + registerPath: registering, "": tokeneptest.WithPeople} {
		s := tokeneptest.New(t, change)
		a := s.Send(t, get("/.well-known/oauth-authorization-server"))
		if got, _ := a.JSON["registration_endpoint"].(string); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if scopes, _ := a.JSON["scopes_supported"].([]any); slices.Contains(scopes, any("openid")) != (want != "") {
			t.Errorf("scopes %v", scopes)
		}
	}
	s := tokeneptest.New(t, func(c *server.Config) { c.Registration = nil })
	s.Send(t, register(`{}`)).Refused(t, 404, tokenep.InvalidRequest)
}

// Too many registrations from one address, or in all, are 429 until there is room.
func TestRegistrationPace(t *testing.T) {
	var pace *tokenep.Pace
	s := tokeneptest.New(t, registering, func(c *server.Config) {
		pace = &tokenep.Pace{PerAddress: 2, InAll: 3, Per: time.Hour, Now: c.Now}
		c.Memory.Registrations = pace
		c.ClientAddress = nil
	})
	for range 2 {
		registered(t, s, "")
	}
	s.Send(t, register(`{"redirect_uris":["https://evil.example"]}`)).Refused(t, 400, tokenep.InvalidRedirectURI)
	a := s.Send(t, register(document("")))
	a.Refused(t, 429, tokenep.TemporarilyUnavailable)
	if after := a.Header.Get("Retry-After"); after != "1800" {
		t.Errorf("Retry-After: %s", after)
	}
	s.Clock.Advance(30 * time.Minute)
	registered(t, s, "")
	s.Send(t, register(document(""))).Refused(t, 429, tokenep.TemporarilyUnavailable)
}
