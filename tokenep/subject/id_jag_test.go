package subject_test

import (
	"maps"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// assistants are clients that may send ID-JAGs.
func assistants(c *server.Config) {
	assistant := tokeneptest.NewClient("assistant", grant.JWTBearerType)
	assistant.Scope, assistant.Audience = verify.Scope{"orders:read", "orders:write", "admin"}, []string{tokeneptest.Orders, tokeneptest.Invoices}
	public := tokenep.Client{ID: "desktop", GrantTypes: []string{grant.JWTBearerType}, AuthMethod: tokenep.AuthNone}
	public.Scope, public.Audience = assistant.Scope, assistant.Audience
	c.Clients = append(c.Clients, assistant, public)
}

// enterprise makes a source of ID-JAGs.
func enterprise(t testing.TB, i *verifytest.Issuer, rules subject.IDJAG, changes ...func(*subject.Policy)) tokeneptest.Change {
	return func(c *server.Config) {
		i.Now = c.Now
		trusted := i.Trust()
		trusted.Audience = nil
		p := subject.Policy{
			Name: "assistants", Grants: []string{grant.JWTBearerType}, Subject: value(t, `has(claims.aud_sub) ? claims.aud_sub : "acme:" + claims.sub`),
			Scope: verify.Scope{"orders:read", "orders:write"}, Audience: []string{tokeneptest.Orders, tokeneptest.Invoices},
		}
		for _, change := range changes {
			change(&p)
		}
		c.Subjects = append(c.Subjects, &subject.Source{Name: i.Name, Issuer: &trusted, IDJAG: &rules, Policies: []subject.Policy{p}})
	}
}

// jag signs an ID-JAG.
func jag(i *verifytest.Issuer, change verifytest.Claims, options ...verifytest.Option) string {
	claims := verifytest.Claims{
		"sub": "00u1", "client_id": "assistant", "exp": i.Now().Add(5 * time.Minute).Unix(), "scope": "orders:read admin",
		"resource": tokeneptest.Orders,
	}
	maps.Copy(claims, change)
	return i.Sign(claims, append([]verifytest.Option{verifytest.Header("typ", subject.IDJAGType)}, options...)...)
}

func assert(token string, pairs ...string) request {
	return post(append([]string{"grant_type", grant.JWTBearerType, "assertion", token}, pairs...)...).By("assistant")
}

// draft-ietf-oauth-identity-assertion-authz-grant, in the order of its checks.
func TestIDJAG(t *testing.T) {
	idp := verifytest.New("https://idp.acme.example", tokeneptest.Issuer, "ES256", "RS256", "PS256")
	f := tokeneptest.New(t, assistants, enterprise(t, idp, subject.IDJAG{}))
	with := func(change verifytest.Claims, options ...verifytest.Option) request {
		return assert(jag(idp, change, options...))
	}
	now := f.Clock.Now
	const bad = tokenep.InvalidGrant
	f.Run(t, []rule{
		refuses("without a client", post("grant_type", grant.JWTBearerType, "assertion", jag(idp, nil)), 401, tokenep.InvalidClient),
		refuses("a wrong secret", assert(jag(idp, nil)).Basic("assistant", "wrong"), 401, tokenep.InvalidClient),
		refuses("a client without the grant", assert(jag(idp, nil)).By("reports"), 400, tokenep.UnauthorizedClient),
		refuses("a public client", post("grant_type", grant.JWTBearerType, "client_id", "desktop", "assertion", jag(idp, verifytest.Claims{"client_id": "desktop"})), 400, bad),
		refuses("no assertion", assert(""), 400, tokenep.InvalidRequest),
		refuses("no JWT", assert("x"), 400, bad),
		refuses("another typ", with(nil, verifytest.Header("typ", "JWT")), 400, bad),
		refuses("no typ", with(nil, verifytest.Header("typ", nil)), 400, bad),
		grants("typ in other letters, with application/", with(nil, verifytest.Header("typ", "application/OAuth-ID-JAG+jwt"))),
		grants("RS256", with(nil, verifytest.Algorithm("RS256"))),
		refuses("an algorithm that is not in the list", with(nil, verifytest.Algorithm("PS256")), 400, bad),
		refuses("unsecured", with(nil, verifytest.Unsigned()), 400, bad),
		refuses("another issuer", with(verifytest.Claims{"iss": "https://idp.other.example"}), 400, bad),
		refuses("expired", with(verifytest.Claims{"iat": now().Add(-5 * time.Minute).Unix(), "exp": now().Add(-time.Minute).Unix()}), 400, bad),
		refuses("of the future", with(verifytest.Claims{"iat": now().Add(2 * time.Minute).Unix()}), 400, bad),
		refuses("living too long", with(verifytest.Claims{"exp": now().Add(6 * time.Minute).Unix()}), 400, bad),
		refuses("without iat", with(verifytest.Claims{"iat": nil}), 400, bad),
		refuses("without exp", with(verifytest.Claims{"exp": nil}), 400, bad),
		refuses("without jti", with(verifytest.Claims{"jti": nil}), 400, bad),
		refuses("an empty jti", with(verifytest.Claims{"jti": ""}), 400, bad),
		refuses("without sub", with(verifytest.Claims{"sub": nil}), 400, bad),
		refuses("for another server", with(verifytest.Claims{"aud": "https://as.example.evil"}), 400, bad),
		refuses("for a longer name", with(verifytest.Claims{"aud": tokeneptest.Issuer + "/"}), 400, bad),
		refuses("for the token endpoint", with(verifytest.Claims{"aud": tokeneptest.Issuer + tokeneptest.TokenPath}), 400, bad),
		refuses("for two servers", with(verifytest.Claims{"aud": []string{tokeneptest.Issuer, "https://other.example"}}), 400, bad),
		grants("aud is an array of one", with(verifytest.Claims{"aud": []string{tokeneptest.Issuer}})),
		refuses("of another client", with(verifytest.Claims{"client_id": "billing"}), 400, bad),
		refuses("without client_id", with(verifytest.Claims{"client_id": nil}), 400, bad),
		refuses("a resource that is not ours", with(verifytest.Claims{"resource": "https://elsewhere.example"}), 400, bad),
		refuses("one of two resources is not ours", with(verifytest.Claims{"resource": []string{tokeneptest.Orders, "https://elsewhere.example"}}), 400, bad),
		refuses("a resource that is none", with(verifytest.Claims{"resource": 1}), 400, bad),
		refuses("no resource, and no default", with(verifytest.Claims{"resource": nil}), 400, bad),
		refuses("the request's resource is outside", assert(jag(idp, nil), "resource", tokeneptest.Invoices), 400, tokenep.InvalidTarget),
		grants("the request's resource is inside", assert(jag(idp, verifytest.Claims{"resource": []string{tokeneptest.Orders, tokeneptest.Invoices}}), "resource", tokeneptest.Invoices)),
		refuses("authorization_details", with(verifytest.Claims{"authorization_details": []any{}}), 400, bad),
		refuses("bound to a key", with(verifytest.Claims{"cnf": map[string]any{"jkt": "x"}}), 400, bad),
		refuses("act of a wrong type", with(verifytest.Claims{"act": "agent"}), 400, bad),
		refuses("nothing in common with the scope that is asked for", assert(jag(idp, nil), "scope", "orders:write"), 400, tokenep.InvalidScope),
		refuses("nothing in common with the policy", with(verifytest.Claims{"scope": "admin"}), 400, tokenep.InvalidScope),
		grants("a scope that is partly allowed", assert(jag(idp, nil), "scope", "orders:read orders:write")),
		refuses("the name of a client", with(verifytest.Claims{"aud_sub": "client:billing"}), 400, bad),
	})

	a, token := f.Granted(t, assert(jag(idp, verifytest.Claims{
		"act": map[string]any{"sub": "agent"}, "auth_time": 1772590000, "acr": "urn:mfa", "amr": []string{"pwd", "otp"}, "aud_sub": "alice",
	}), "scope", "orders:read orders:write"))
	want := map[string]any{"sub": "alice", "scope": "orders:read", "aud": tokeneptest.Orders, "client_id": "assistant", "acr": "urn:mfa"}
	for name, value := range want {
		if token.Claims[name] != value {
			t.Errorf("%s is %v, want %v", name, token.Claims[name], value)
		}
	}
	if token.Actor()["sub"] != "agent" || !tokeneptest.EqualJSON(token.Claims["auth_time"], 1772590000) || !tokeneptest.EqualJSON(token.Claims["amr"], []string{"pwd", "otp"}) {
		t.Errorf("claims: %v", token.Claims)
	}
	if a.JSON["refresh_token"] != nil || a.JSON["scope"] != "orders:read" {
		t.Errorf("answer: %s", a.Body)
	}
	if _, token := f.Granted(t, with(nil)); token.Subject != "acme:00u1" {
		t.Errorf("sub is %s", token.Subject)
	}
}

// The jti is good once, after everything else was good: a refused assertion is as good as before.
func TestIDJAGIsGoodOnce(t *testing.T) {
	idp := verifytest.New("https://idp.acme.example", tokeneptest.Issuer)
	f := tokeneptest.New(t, assistants, enterprise(t, idp, subject.IDJAG{}))
	token := jag(idp, nil)
	writes := f.Store.Writes()
	f.Send(t, assert(token, "scope", "orders:write")).Refused(t, 400, tokenep.InvalidScope)
	f.Send(t, assert(token, "resource", tokeneptest.Invoices)).Refused(t, 400, tokenep.InvalidTarget)
	if now := f.Store.Writes(); now != writes {
		t.Errorf("%d records were written for refused requests", now-writes)
	}
	f.Granted(t, assert(token))
	f.Send(t, assert(token)).Refused(t, 400, tokenep.InvalidGrant)

	again := tokeneptest.New(t, assistants, enterprise(t, idp, subject.IDJAG{AllowReplay: true}))
	again.Granted(t, assert(jag(idp, verifytest.Claims{"jti": "1"})))
	again.Granted(t, assert(jag(idp, verifytest.Claims{"jti": "1"})))
}

// What an issuer does differently is said of that issuer.
func TestIDJAGOfIssuersThatDiffer(t *testing.T) {
	idp := verifytest.New("https://acme.okta.example", tokeneptest.Issuer+"/")
	rules := subject.IDJAG{MaxLife: time.Hour, Clients: map[string]string{"0oa1": "assistant"}, Resource: []string{tokeneptest.Invoices}}
	f := tokeneptest.New(t, assistants, func(c *server.Config) {
		enterprise(t, idp, rules)(c)
		c.Subjects[0].Issuer.Audience = []string{tokeneptest.Issuer + "/"}
		c.Subjects[0].Policies[0].AllowPublic = true
	})
	odd := verifytest.Claims{"client_id": "0oa1", "resource": nil, "exp": f.Clock.Now().Add(time.Hour).Unix()}
	_, token := f.Granted(t, assert(jag(idp, odd)))
	if len(token.Audience) != 1 || token.Audience[0] != tokeneptest.Invoices {
		t.Errorf("aud is %v", token.Audience)
	}
	f.Run(t, []rule{
		refuses("without the slash", assert(jag(idp, verifytest.Claims{"aud": tokeneptest.Issuer})), 400, tokenep.InvalidGrant),
		grants("a public client", post("grant_type", grant.JWTBearerType, "client_id", "desktop", "assertion", jag(idp, verifytest.Claims{"client_id": "desktop"}))),
	})
}

// An issuer of ID-JAGs is trusted with nothing else, and other issuers not with ID-JAGs. The
// metadata say that there is one, and not which.
func TestIDJAGIsAProfileOfItsOwn(t *testing.T) {
	idp, github := verifytest.New("https://idp.acme.example", tokeneptest.Issuer), ci()
	bearer := deploy(t)
	bearer.Grants = []string{grant.JWTBearerType, grant.TokenExchangeType}
	f := tokeneptest.New(t, assistants, enterprise(t, idp, subject.IDJAG{}), trusts(github, bearer))
	f.Run(t, []rule{
		refuses("a plain assertion of the one", assert(idp.Sign(verifytest.Claims{"client_id": "assistant"})), 400, tokenep.InvalidGrant),
		refuses("an ID-JAG of the other", assert(jag(github, job(verifytest.Claims{"client_id": "assistant"}))), 400, tokenep.InvalidGrant),
		refuses("exchanged", tokeneptest.Exchange(jag(idp, nil), grant.JWTType).By("billing"), 400, tokenep.InvalidRequest),
		grants("a plain assertion of the other", assert(github.Sign(job(nil)))),
	})
	a := f.Send(t, tokeneptest.Get("/.well-known/oauth-authorization-server"))
	if got := a.JSON["authorization_grant_profiles_supported"]; !tokeneptest.EqualJSON(got, []string{subject.IDJAGProfile}) {
		t.Errorf("authorization_grant_profiles_supported is %v", got)
	}
	a = tokeneptest.New(t, trusts(github, bearer)).Send(t, tokeneptest.Get("/.well-known/oauth-authorization-server"))
	if got := a.JSON["authorization_grant_profiles_supported"]; got != nil {
		t.Errorf("authorization_grant_profiles_supported is %v without an issuer", got)
	}
}
