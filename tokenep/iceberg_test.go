package tokenep_test

import (
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const jwtType = "urn:ietf:params:oauth:token-type:jwt"

// newIceberg returns a server for clients of Iceberg's REST catalog: catalog and engine are such
// clients, and engine may speak for any user.
func newIceberg(t *testing.T, changes ...tokeneptest.Change) *tokeneptest.Server {
	catalog := tokeneptest.NewClient("catalog", cc, exchange)
	catalog.Scope, catalog.Audience = verify.Scope{"catalog", "orders:read"}, []string{orders}
	catalog.MayActFor, catalog.ExchangeFrom, catalog.SecretWithoutID = []string{"*"}, []string{"billing"}, true
	engine := tokeneptest.NewClient("engine", cc, exchange)
	engine.Scope, engine.Audience = verify.Scope{"catalog"}, []string{orders}
	engine.MayActFor, engine.InsecureUnsecuredSubject = []string{"*"}, true
	return tokeneptest.New(t, append([]tokeneptest.Change{tokeneptest.Renewing, tokeneptest.WithClients(catalog, engine)}, changes...)...)
}

func at(r request) request { return r.At(tokeneptest.IcebergPath) }

// Dialect.BearerClient: an access token that is subject or actor token authenticates its client,
// for token exchange (RFC 8693) alone. Other credentials win, and the header is not read then.
func TestBearerClient(t *testing.T) {
	f := newIceberg(t)
	ofCatalog := f.Mint(t, tokenep.Claims{ClientID: "catalog", Subject: "client:catalog", Scope: verify.Scope{"catalog"}})
	ofAlice := f.Mint(t, tokenep.Claims{ClientID: "catalog", Scope: verify.Scope{"catalog"}})
	user := f.Mint(t, tokenep.Claims{ClientID: "billing", Subject: "bob"})
	old := f.Mint(t, tokenep.Claims{ClientID: "catalog", Expires: tokeneptest.Start.Truncate(time.Second)})
	gone := f.Mint(t, tokenep.Claims{ClientID: "gone"})
	unable := f.Mint(t, tokenep.Claims{ClientID: "reports"})
	public := f.Mint(t, tokenep.Claims{ClientID: "app"})
	bound := f.Mint(t, tokenep.Claims{ClientID: "catalog", Confirmation: object{"jkt": "x"}})
	by := func(r request, token string) request { return r.With("Authorization", "Bearer "+token) }
	acting := func(subject string) request {
		return at(swap(subject, "actor_token", ofCatalog, "actor_token_type", accessToken))
	}
	f.Run(t, []rule{
		grants("the subject token", by(at(swap(ofCatalog)), ofCatalog)),
		grants("the actor token", by(acting(user), ofCatalog)),
		grants("a user's token, for itself", by(at(swap(ofAlice)), ofAlice)),
		refuses("a user's token, which others may hold", by(at(swap(user, "actor_token", ofAlice, "actor_token_type", accessToken)), ofAlice), 400, tokenep.InvalidRequest),
		grants("the scheme in other letters", at(swap(ofCatalog)).With("Authorization", "bearer  "+ofCatalog)),
		grants("junk, beside credentials in the body", by(at(swap(ofCatalog, "client_id", "catalog", "client_secret", "catalog-secret")), "junk")),
		grants("junk, beside a secret alone", by(at(swap(ofCatalog, "client_secret", "catalog-secret")), "junk")),
		grants("junk, and client credentials", by(at(post("grant_type", cc, "client_id", "catalog", "client_secret", "catalog-secret")), "junk")),
		refuses("not beside a client_id, which is a credential", by(at(swap(ofCatalog, "client_id", "catalog")), ofCatalog), 401, tokenep.InvalidClient),
		refuses("neither subject nor actor token", by(at(swap(user)), ofCatalog), 401, tokenep.InvalidClient),
		refuses("none", at(swap(ofCatalog)), 401, tokenep.InvalidClient),
		refuses("empty", at(swap(ofCatalog)).With("Authorization", "Bearer"), 401, tokenep.InvalidClient),
		refuses("junk", by(at(swap("junk")), "junk"), 401, tokenep.InvalidClient),
		refuses("a changed signature", by(at(swap(ofCatalog[:len(ofCatalog)-3]+"xxx")), ofCatalog[:len(ofCatalog)-3]+"xxx"), 401, tokenep.InvalidClient),
		refuses("expired", by(at(swap(old)), old), 401, tokenep.InvalidClient),
		refuses("of a client that there is not", by(at(swap(gone)), gone), 401, tokenep.InvalidClient),
		refuses("of a client without the grant", by(at(swap(unable)), unable), 400, tokenep.UnauthorizedClient),
		refuses("of a public client", by(at(swap(public)), public), 400, tokenep.UnauthorizedClient),
		refuses("bound to a key", by(at(swap(bound)), bound), 401, tokenep.InvalidClient),
		refuses("another grant", by(at(post("grant_type", cc, "subject_token", ofCatalog)), ofCatalog), 401, tokenep.InvalidClient),
		refuses("another path", by(swap(ofCatalog), ofCatalog), 401, tokenep.InvalidClient),
	})
	if _, token := f.Granted(t, by(acting(user), ofCatalog)); token.Subject != "bob" || token.ClientID != "catalog" ||
		!tokeneptest.EqualJSON(token.Claims["act"], object{"sub": "client:catalog", "client_id": "catalog"}) {
		t.Errorf("claims: %v", token.Claims)
	}
	if err := f.RevokeToken(t.Context(), mustID(t, f, ofCatalog), time.Time{}); err != nil {
		t.Fatal(err)
	}
	f.Run(t, []rule{refuses("revoked", by(at(swap(ofCatalog)), ofCatalog), 401, tokenep.InvalidClient)})
}

// An exchange by a Bearer token alone (Dialect.BearerClient) reaches no further than that token
// does, in audience and scope (RFC 8693 §2.1).
func TestBearerClientReachesNoFurther(t *testing.T) {
	const ledger = "https://api.example/ledger"
	f := newIceberg(t, tokeneptest.Alter("catalog", func(c *tokenep.Client) { c.ExchangeTo, c.Audience = []string{ledger}, []string{orders, invoices} }))
	narrow := f.Mint(t, tokenep.Claims{ClientID: "catalog", Subject: "client:catalog", Scope: verify.Scope{"catalog"}, Audience: []string{orders}})
	user := f.Mint(t, tokenep.Claims{ClientID: "billing", Subject: "bob", Scope: verify.Scope{"catalog", "orders:read"}, Audience: []string{orders, invoices}})
	elsewhere := f.Mint(t, tokenep.Claims{ClientID: "billing", Subject: "bob", Audience: []string{invoices}})
	by := func(r request) request { return at(r).With("Authorization", "Bearer "+narrow) }
	acting := func(subject string, pairs ...string) request {
		return swap(subject, append(pairs, "actor_token", narrow, "actor_token_type", accessToken)...)
	}
	f.Run(t, []rule{
		grants("with a secret: the next service", at(swap(narrow, "audience", ledger)).By("catalog")),
		refuses("by the Bearer: not the next service", by(swap(narrow, "audience", ledger)), 400, tokenep.InvalidRequest),
		refuses("by the Bearer: a subject for somebody else", by(acting(elsewhere)), 400, tokenep.InvalidRequest),
	})
	if _, token := f.Granted(t, by(acting(user))); !tokeneptest.EqualJSON(token.Claims["aud"], orders) || token.Scope.String() != "catalog" {
		t.Errorf("aud %v, scope %q: want what the Bearer token has as well", token.Claims["aud"], token.Scope)
	}
}

func mustID(t *testing.T, f *tokeneptest.Server, token string) string {
	t.Helper()
	verified, err := f.Verify(t, token)
	if err != nil {
		t.Fatal(err)
	}
	return verified.ID
}

// The other settings of the dialect: the scope of client credentials without one, the codes of RFC
// 6749 §5.2 alone, and a secret without an id.
func TestIcebergDialect(t *testing.T) {
	f := newIceberg(t)
	for name, row := range map[string]struct {
		request request
		scope   string
	}{
		"no scope":                          {at(post("grant_type", cc)).By("catalog"), "catalog"},
		"a scope":                           {at(post("grant_type", cc, "scope", "orders:read")).By("catalog"), "orders:read"},
		"no scope, elsewhere":               {post("grant_type", cc).By("catalog"), "catalog orders:read"},
		"a client that may not have it":     {at(post("grant_type", cc)).By("billing"), ""},
		"a secret without id":               {at(post("grant_type", cc, "client_secret", "catalog-secret")), "catalog"},
		"a secret without id, another path": {post("grant_type", cc, "client_secret", "catalog-secret"), "catalog orders:read"},
	} {
		if _, token := f.Granted(t, row.request); token.Scope.String() != row.scope {
			t.Errorf("%s: scope %q, want %q", name, token.Scope, row.scope)
		}
	}
	token := f.Mint(t, tokenep.Claims{ClientID: "catalog"})
	f.Run(t, []rule{
		refuses("invalid_target is invalid_request", at(swap(token, "audience", "x")).By("catalog"), 400, tokenep.InvalidRequest),
		refuses("the same of a resource", at(swap(token, "resource", "https://x.example")).By("catalog"), 400, tokenep.InvalidRequest),
		refuses("and of one that is malformed", at(swap(token, "resource", "x")).By("catalog"), 400, tokenep.InvalidRequest),
		refuses("elsewhere it is not", swap(token, "audience", "x").By("catalog"), 400, tokenep.InvalidTarget),
		refuses("the others stay", at(swap(token, "scope", "admin")).By("catalog"), 400, tokenep.InvalidScope),
		refuses("a wrong secret without id", at(post("grant_type", cc, "client_secret", "x")), 401, tokenep.InvalidClient),
	})
	f.Store.SetAway(true)
	f.Run(t, []rule{refuses("what is no error of the protocol stays", at(post("grant_type", cc)).Basic("unknown", "x"), 503, tokenep.TemporarilyUnavailable)})
	f.Store.SetAway(false)

	nobody := tokeneptest.New(t)
	nobody.Run(t, []rule{refuses("no client is meant by a secret alone", post("grant_type", cc, "client_secret", "billing-secret"), 401, tokenep.InvalidClient)})
	two := nobody.Config
	two.Clients = tokeneptest.Clients()
	two.Clients[0].SecretWithoutID, two.Clients[1].SecretWithoutID = true, true
	if _, err := server.New(two); err == nil {
		t.Error("two clients are meant by a secret alone")
	}
	for _, c := range []tokenep.Client{{ID: "late", SecretWithoutID: true}, {ID: "late", InsecureUnsecuredSubject: true}} {
		if _, err := nobody.Clients.Add(t.Context(), c); err == nil {
			t.Errorf("%+v is added at run time", c)
		}
	}
}

// RFC 7519 §6: a JWT that nobody has signed says for whom a client asks, if that one is believed.
func TestUnsecuredSubject(t *testing.T) {
	f := newIceberg(t)
	encode := base64.RawURLEncoding.EncodeToString
	none := encode([]byte(`{"alg":"none"}`))
	jwt := func(payload string) string { return none + "." + encode([]byte(payload)) + "." }
	actor := f.Mint(t, tokenep.Claims{Subject: "client:engine", ClientID: "engine", Scope: verify.Scope{"catalog"}})
	ofCatalog := f.Mint(t, tokenep.Claims{ClientID: "catalog", Scope: verify.Scope{"catalog"}})
	asks := func(subject, kind, actor string) request {
		return at(post("grant_type", exchange, "subject_token", subject, "subject_token_type", kind, "actor_token", actor, "actor_token_type", accessToken)).
			With("Authorization", "Bearer "+actor)
	}
	zoe := jwt(`{"sub":"zoe","iss":"trino","iat":1}`)
	bad := func(name, token string) rule {
		return refuses(name, asks(token, jwtType, actor), 400, tokenep.InvalidRequest)
	}
	f.Run(t, []rule{
		grants("of a client that is believed", asks(zoe, jwtType, actor)),
		grants("as an ID token", asks(zoe, "urn:ietf:params:oauth:token-type:id_token", actor)),
		grants("until it expires", asks(jwt(`{"sub":"zoe","exp":99999999999,"nbf":1}`), jwtType, actor)),
		refuses("of a client that is not", asks(zoe, jwtType, ofCatalog), 400, tokenep.InvalidRequest),
		refuses("without an actor", at(tokeneptest.Exchange(zoe, jwtType)).By("engine"), 400, tokenep.InvalidRequest),
		refuses("as actor", at(swap(actor, "actor_token", zoe, "actor_token_type", jwtType)).By("engine"), 400, tokenep.InvalidRequest),
		refuses("as actor, too", at(tokeneptest.Exchange(zoe, jwtType, "actor_token", zoe, "actor_token_type", jwtType)).By("engine"), 400, tokenep.InvalidRequest),
		refuses("as an access token", asks(zoe, accessToken, actor), 400, tokenep.InvalidRequest),
		bad("no sub", jwt(`{"iss":"trino"}`)), bad("sub is a number", jwt(`{"sub":1}`)), bad("a client", jwt(`{"sub":"client:billing"}`)),
		bad("expired", jwt(`{"sub":"zoe","exp":1}`)), bad("exp is text", jwt(`{"sub":"zoe","exp":"99999999999"}`)),
		bad("exp is null", jwt(`{"sub":"zoe","exp":null}`)), bad("not yet", jwt(`{"sub":"zoe","nbf":99999999999}`)),
		bad("bound to a key", jwt(`{"sub":"zoe","cnf":{}}`)), bad("act is a string", jwt(`{"sub":"zoe","act":"x"}`)),
		bad("may_act of another", jwt(`{"sub":"zoe","may_act":{"sub":"x"}}`)), bad("two objects", jwt(`{"sub":"zoe"}{}`)),
		bad("a list", jwt(`["zoe"]`)), bad("padded", none+"."+encode([]byte(`{"sub":"zo"}`))+"=."),
		bad("alg is None", encode([]byte(`{"alg":"None"}`))+"."+encode([]byte(`{"sub":"zoe"}`))+"."),
		bad("crit", encode([]byte(`{"alg":"none","crit":["b64"]}`))+"."+encode([]byte(`{"sub":"zoe"}`))+"."),
		bad("an algorithm, and no signature", encode([]byte(`{"alg":"HS256"}`))+"."+encode([]byte(`{"sub":"zoe"}`))+"."),
		bad("none, and a signature", zoe+"AAAA"), bad("two parts", zoe[:len(zoe)-1]),
	})
	a, token := f.Granted(t, asks(zoe, jwtType, actor))
	if token.Subject != "zoe" || token.ClientID != "engine" || token.Scope.String() != "catalog" || a.JSON["issued_token_type"] != accessToken ||
		!tokeneptest.EqualJSON(token.Claims["act"], object{"sub": "client:engine", "client_id": "engine"}) {
		t.Errorf("claims: %v", token.Claims)
	}
	plain := newIceberg(t, tokeneptest.Alter("engine", func(c *tokenep.Client) { c.InsecureUnsecuredSubject = false }))
	actor = plain.Mint(t, tokenep.Claims{Subject: "client:engine", ClientID: "engine"})
	plain.Run(t, []rule{refuses("where no client is believed", asks(zoe, jwtType, actor), 400, tokenep.InvalidRequest)})
}

// A client that proves a key or shows a certificate, and has nothing else, is not authenticated by
// an access token: such a configuration is refused, and so is such a client of the store.
func TestBearerClientProvesNoKey(t *testing.T) {
	keyed := tokenep.Client{ID: "keyed", GrantTypes: []string{cc, exchange}, JWKS: verifytest.New("keyed", "x").JWKS(), Audience: []string{orders}}
	both := tokeneptest.NewClient("both", cc, exchange)
	both.JWKS, both.AuthMethods = keyed.JWKS, []string{tokenep.AuthBasic, tokenep.AuthPrivateKeyJWT}
	named := tokenep.Client{ID: "named", GrantTypes: keyed.GrantTypes, AuthMethod: tokenep.AuthTLS, TLSSANDNS: "named.example"}
	without := keyed
	without.GrantTypes = []string{cc}
	for name, row := range map[string]struct {
		client tokenep.Client
		good   bool
	}{"keys": {keyed, false}, "certificates": {named, false}, "keys, but no exchange": {without, true}, "keys or a secret": {both, true}} {
		f := tokeneptest.New(t, tokeneptest.Renewing)
		c := f.Config
		c.ClientCertificates = new(server.ClientCertificates)
		c.Clients = append(slices.Clone(c.Clients), row.client)
		s, err := server.New(c)
		if err != nil {
			t.Fatal(name, err)
		}
		paths := server.Paths{Token: []server.TokenPath{{Path: tokeneptest.IcebergPath, Dialect: tokeneptest.Iceberg()}}}
		if _, err := s.Mount(paths); (err == nil) != row.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := newIceberg(t)
	if _, err := f.Clients.Add(t.Context(), keyed); err != nil {
		t.Fatal(err)
	}
	token := f.Mint(t, tokenep.Claims{ClientID: "keyed"})
	f.Run(t, []rule{
		refuses("a client of the store", at(swap(token)).With("Authorization", "Bearer "+token), 401, tokenep.InvalidClient),
	})
}
