package tokenep_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// These tests add a grant and an endpoint to a server from outside.

// voucher is a grant from outside: what it allows is up to the test.
type voucher struct {
	authorize func(r *tokenep.Request) (*tokenep.Authorization, error)
}

const voucherType = "urn:example:grant:paper-voucher"

func (voucher) Type() string                    { return voucherType }
func (voucher) Parameters() []string            { return []string{"paper"} }
func (voucher) Anonymous(*tokenep.Request) bool { return false }
func (voucher) RefusalWrites() tokenep.Effects  { return 0 }

func (v voucher) Authorize(_ context.Context, r *tokenep.Request) (*tokenep.Authorization, error) {
	return v.authorize(r)
}

// withVoucher adds the grant, and a client that may use it by its short name.
func withVoucher(authorize func(r *tokenep.Request) (*tokenep.Authorization, error)) tokeneptest.Change {
	return func(c *server.Config) {
		tokeneptest.WithGrant(voucher{authorize})(c)
		tokeneptest.WithClients(tokeneptest.NewClient("shop", "paper_voucher"))(c)
	}
}

// allowing returns a grant that always allows the same.
func allowing(a tokenep.Authorization) func(*tokenep.Request) (*tokenep.Authorization, error) {
	return func(*tokenep.Request) (*tokenep.Authorization, error) { return &a, nil }
}

var showVoucher = post("grant_type", voucherType).By("shop")

// A grant from outside is treated like the others: in the metadata, for clients by its short name,
// and in the log.
func TestOutsideGrant(t *testing.T) {
	f := tokeneptest.New(t, withVoucher(allowing(tokenep.Authorization{Subject: "alice", ClientID: "ignored"})))
	f.Run(t, []rule{
		grants("its client", showVoucher),
		refuses("a client without the grant", post("grant_type", voucherType).By("billing"), 400, tokenep.UnauthorizedClient),
		refuses("no client", post("grant_type", voucherType), 401, tokenep.InvalidClient),
		refuses("its short name is no grant_type", post("grant_type", "paper_voucher").By("shop"), 400, tokenep.UnsupportedGrantType),
	})
	if _, token := f.Granted(t, showVoucher); token.Subject != "alice" || token.ClientID != "shop" {
		t.Errorf("sub %q, client_id %q", token.Subject, token.ClientID)
	}
	document := f.Send(t, get("/.well-known/oauth-authorization-server"))
	if !tokeneptest.EqualJSON(document.JSON["grant_types_supported"], []string{cc, exchange, voucherType}) {
		t.Errorf("grant_types_supported: %v", document.JSON["grant_types_supported"])
	}
	if !strings.Contains(f.Log.String(), "grant="+voucherType) {
		t.Errorf("the log does not name the grant:\n%s", f.Log)
	}
}

// RFC 6749 §3.2: a parameter that anybody reads must not be repeated. One that nobody reads is
// ignored.
func TestOutsideRepeatedParameter(t *testing.T) {
	var seen []string
	read := func(r *tokenep.Request) { seen = append(seen, r.Form.Get("paper")) }
	f := tokeneptest.New(t,
		withVoucher(func(r *tokenep.Request) (*tokenep.Authorization, error) {
			read(r)
			return &tokenep.Authorization{Subject: "alice"}, nil
		}),
		tokeneptest.WithEndpoint(tokenep.Endpoint{
			Name: "papers", Path: "/oauth/papers", Methods: []string{http.MethodPost}, Callers: tokenep.ConfidentialClients, Parameters: []string{"paper"},
			Call: func(_ context.Context, r *tokenep.Request) (any, error) {
				read(r)
				return struct{}{}, nil
			},
		}))
	show := func(pairs ...string) request {
		return post(append([]string{"grant_type", voucherType}, pairs...)...).By("shop")
	}
	ask := func(pairs ...string) request { return post(pairs...).By("shop").At("/oauth/papers") }
	f.Run(t, []rule{
		grants("once", show("paper", "a")),
		grants("without a value", show("paper", "")),
		grants("one that nobody reads, twice", show("colour", "a", "colour", "b")),
		grants("one that another grant reads, twice", post("grant_type", cc, "paper", "a", "paper", "b").By("billing")),
		refuses("twice", show("paper", "b", "paper", "c"), 400, tokenep.InvalidRequest),
		refuses("the same twice", show("paper", "b", "paper", "b"), 400, tokenep.InvalidRequest),
		refuses("with and without a value", show("paper", "b", "paper", ""), 400, tokenep.InvalidRequest),
		refuses("at an endpoint", ask("paper", "b", "paper", "c"), 400, tokenep.InvalidRequest),
		refuses("at an endpoint, the same twice", ask("paper", "b", "paper", "b"), 400, tokenep.InvalidRequest),
		refuses("at an endpoint, without a client", post("paper", "b").At("/oauth/papers"), 401, tokenep.InvalidClient),
	})
	for name, r := range map[string]request{"once": ask("paper", "a"), "one that nobody reads": ask("colour", "a", "colour", "b")} {
		if a := f.Send(t, r); a.Status != http.StatusOK || string(a.Body) != "{}" {
			t.Errorf("at an endpoint, %s: %d %s", name, a.Status, a.Body)
		}
	}
	for _, value := range seen {
		if value != "" && value != "a" {
			t.Errorf("a request with a repeated parameter got through, with %q", value)
		}
	}
}

// RFC 9068 §5: only a grant that says so can issue a token about a client. A claim that a grant
// must not set is a mistake on this side.
func TestOutsideGrantOversteps(t *testing.T) {
	alice := func(change func(*tokenep.Authorization)) tokenep.Authorization {
		a := tokenep.Authorization{Subject: "alice"}
		change(&a)
		return a
	}
	extra := func(name string) tokenep.Authorization {
		return alice(func(a *tokenep.Authorization) { a.Extra = map[string]any{"tenant": "t", name: "x"} })
	}
	identity := func(name string) tokenep.Authorization {
		return alice(func(a *tokenep.Authorization) { a.IDToken = map[string]any{name: "x"} })
	}
	rows := map[string]struct {
		allowed tokenep.Authorization
		status  int
		code    tokenep.Code
	}{
		"a user named as a client":        {tokenep.Authorization{Subject: "client:shop"}, 400, tokenep.InvalidGrant},
		"a user named as no client":       {tokenep.Authorization{Subject: "client:"}, 400, tokenep.InvalidGrant},
		"the client itself":               {tokenep.Authorization{Subject: "client:shop"}, 400, tokenep.InvalidGrant},
		"nobody":                          {tokenep.Authorization{}, 500, tokenep.ServerError},
		"an extra claim without a name":   {extra(""), 500, tokenep.ServerError},
		"an extra claim that is no text":  {extra("a\xff"), 500, tokenep.ServerError},
		"an extra claim ISS":              {extra("ISS"), 500, tokenep.ServerError},
		"an extra claim that has no JSON": {alice(func(a *tokenep.Authorization) { a.Extra = map[string]any{"f": func() {}} }), 500, tokenep.ServerError},
		"too much, beside an ID token": {alice(func(a *tokenep.Authorization) {
			a.Extra, a.IDToken = map[string]any{"long": strings.Repeat("x", 9000)}, map[string]any{}
		}), 400, tokenep.InvalidRequest},
		"nothing that still lives": {tokenep.Authorization{Subject: "alice", NotAfter: tokeneptest.Start}, 400, tokenep.InvalidGrant},
	}
	for _, name := range []string{
		"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "act", "may_act", "auth_time", "acr", "amr", "cnf", "events", "at_hash", "c_hash", "grant_id",
	} {
		rows["extra claim "+name] = struct {
			allowed tokenep.Authorization
			status  int
			code    tokenep.Code
		}{extra(name), 500, tokenep.ServerError}
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat"} {
		rows["claim of an ID token: "+name] = struct {
			allowed tokenep.Authorization
			status  int
			code    tokenep.Code
		}{identity(name), 500, tokenep.ServerError}
	}
	spent := false
	var now tokenep.Authorization
	f := tokeneptest.New(t, withVoucher(func(*tokenep.Request) (*tokenep.Authorization, error) {
		a := now
		a.Spend = func(context.Context) (none tokenep.RefreshToken, err error) { spent = true; return none, nil }
		return &a, nil
	}))
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		now = rows[name].allowed
		f.Run(t, []rule{refuses(name, showVoucher, rows[name].status, rows[name].code)})
	}
	if spent {
		t.Error("what was refused was spent")
	}
	if n := f.Config.Memory.Cache.Len(); n != 0 {
		t.Errorf("%d tokens are in the cache", n)
	}
	now = tokenep.Authorization{Subject: "client:billing", Descends: true}
	if _, token := f.Granted(t, showVoucher); token.Subject != "client:billing" || !spent {
		t.Errorf("what descends from a token of a client: %s, spent %t", token.Subject, spent)
	}
}

// RFC 9068 §2.2.1, OpenID Connect Core §2: what a grant says about a user is in the access token
// and in the ID token.
func TestOutsideGrantClaims(t *testing.T) {
	signedIn := tokeneptest.Start.Add(-time.Hour)
	f := tokeneptest.New(t, withVoucher(allowing(tokenep.Authorization{
		Subject: "alice", GrantID: "g", Extra: map[string]any{"tenant": "t<1>", "level": 3},
		SignIn:  tokenep.SignIn{Time: signedIn, Class: "urn:example:loa:2", Methods: []string{"pwd", "otp"}},
		IDToken: map[string]any{"nonce": "n"},
		Spend: func(context.Context) (tokenep.RefreshToken, error) {
			return tokenep.RefreshToken{Text: "a refresh token"}, nil
		},
	})))
	a, token := f.Granted(t, showVoucher)
	for name, want := range map[string]any{
		"sub": "alice", "client_id": "shop", "grant_id": "g", "tenant": "t<1>", "level": 3,
		"auth_time": signedIn.Unix(), "acr": "urn:example:loa:2", "amr": []string{"pwd", "otp"},
	} {
		if got := token.Claims[name]; !tokeneptest.EqualJSON(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if a.JSON["refresh_token"] != "a refresh token" {
		t.Errorf("refresh_token is %v", a.JSON["refresh_token"])
	}
	raw, _ := a.JSON["id_token"].(string)
	if _, err := f.Verify(t, raw); err == nil {
		t.Error("the ID token passes for an access token")
	}
	checkIDToken(t, f, raw, map[string]any{
		"iss": issuer, "sub": "alice", "aud": "shop", "nonce": "n", "auth_time": signedIn.Unix(),
		"acr": "urn:example:loa:2", "amr": []string{"pwd", "otp"},
		"iat": token.IssuedAt.Unix(), "exp": token.Expires.Unix(), "at_hash": atHash(a.AccessToken()),
	})
	plain, _ := f.Granted(t, plain.By("billing"))
	for _, name := range []string{"refresh_token", "id_token"} {
		if value, there := plain.JSON[name]; there {
			t.Errorf("another grant answers with %s %v", name, value)
		}
	}
}

// RFC 7800 §3.1: cnf names the key that the token is bound to. A verifier that cannot check the
// proof refuses the token.
func TestOutsideGrantBindsToAKey(t *testing.T) {
	key := map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
	f := tokeneptest.New(t, withVoucher(allowing(tokenep.Authorization{Subject: "alice", Confirmation: key})))
	a := f.Send(t, showVoucher)
	message, err := jws.Parse([]byte(a.AccessToken()))
	if err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	var claims map[string]any
	if err := json.Unmarshal(message.Payload(), &claims); err != nil || !tokeneptest.EqualJSON(claims["cnf"], key) {
		t.Errorf("cnf is %v, %v; want %v", claims["cnf"], err, key)
	}
	if _, err := f.Verify(t, a.AccessToken()); err == nil {
		t.Error("a verifier that asks for no proof takes a token that is bound to a key")
	}
}

// atHash returns the at_hash of an access token beside an ID token with SHA-256 (OpenID Connect
// Core §3.1.3.6).
func atHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// checkIDToken verifies an ID token by the published keys (RFC 7519 §7.2).
func checkIDToken(t *testing.T, f *tokeneptest.Server, raw string, want map[string]any) {
	t.Helper()
	message, err := jws.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if typ := message.Signatures()[0].ProtectedHeaders().Type(); typ != "JWT" {
		t.Errorf("typ is %q, want JWT", typ)
	}
	set, err := jwk.Parse(f.Send(t, get(tokeneptest.JWKSPath)).Body)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify([]byte(raw), jws.WithKeySet(set))
	if err != nil {
		t.Fatalf("the ID token does not verify: %v", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil || !tokeneptest.EqualJSON(claims, want) {
		t.Errorf("the ID token says %s, %v; want %v", payload, err, want)
	}
}

// A grant that returns neither an authorization nor an error, and one that would let somebody
// without a client pass for one, are mistakes: nothing is issued, and nothing breaks.
func TestOutsideGrantMistakes(t *testing.T) {
	for name, row := range map[string]struct {
		a      *tokenep.Authorization
		status int
	}{
		"nothing":                  {nil, 500},
		"no client_id":             {&tokenep.Authorization{Subject: "alice"}, 500},
		"the id of a client":       {&tokenep.Authorization{Subject: "alice", ClientID: "billing"}, 500},
		"an id that no client has": {&tokenep.Authorization{Subject: "alice", ClientID: "api_token:x"}, 200},
		"an ID token for nobody":   {&tokenep.Authorization{Subject: "alice", ClientID: "api_token:x", IDToken: map[string]any{}}, 200},
	} {
		f := tokeneptest.New(t, tokeneptest.WithGrant(forAnybody{voucher{func(*tokenep.Request) (*tokenep.Authorization, error) {
			return row.a, nil
		}}}))
		if a := f.Send(t, post("grant_type", voucherType)); a.Status != row.status || a.JSON["id_token"] != nil {
			t.Errorf("%s: %d %s, want %d", name, a.Status, a.Body, row.status)
		}
	}
}

// forAnybody needs no client.
type forAnybody struct{ voucher }

func (forAnybody) Anonymous(*tokenep.Request) bool { return true }

// An endpoint says who may call it, and what it reads.
func TestOutsideEndpointCallers(t *testing.T) {
	endpoint := func(callers tokenep.Callers) tokeneptest.Change {
		return tokeneptest.WithEndpoint(tokenep.Endpoint{
			Name: "papers", Path: "/oauth/papers", Methods: []string{http.MethodPost}, Callers: callers, Parameters: []string{"scope", "paper"},
			Call: func(_ context.Context, r *tokenep.Request) (any, error) {
				return map[string]string{"scope": r.Scope.String(), "paper": r.Form.Get("paper"), "hidden": r.Form.Get("hidden")}, nil
			},
		})
	}
	ask := post("scope", "a b", "paper", "1", "hidden", "2").At("/oauth/papers")
	public := post("client_id", "app").At("/oauth/papers")
	for _, row := range []struct {
		name                         string
		callers                      tokenep.Callers
		nobody, public, confidential int
	}{
		{"any caller", tokenep.AnyCaller, 200, 200, 200},
		{"any client", tokenep.AnyClient, 401, 200, 200},
		{"confidential clients", tokenep.ConfidentialClients, 401, 400, 200},
	} {
		f := tokeneptest.New(t, endpoint(row.callers))
		for r, want := range map[*request]int{&ask: row.nobody, &public: row.public} {
			if a := f.Send(t, *r); a.Status != want {
				t.Errorf("%s: %d %s, want %d", row.name, a.Status, a.Body, want)
			}
		}
		a := f.Send(t, ask.By("billing"))
		if want := map[string]string{"scope": "a b", "paper": "1", "hidden": ""}; a.Status != row.confidential || !tokeneptest.EqualJSON(a.JSON, want) {
			t.Errorf("%s: %d %s, want %v", row.name, a.Status, a.Body, want)
		}
		f.Send(t, post("scope", `"`).By("billing").At("/oauth/papers")).Refused(t, 400, tokenep.InvalidScope)
	}
}
