package grant_test

import (
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/policy"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// RFC 7523 §2.1 and §3: an assertion is a grant. Whatever is wrong with it is invalid_grant, in one
// text, and spends nothing.
func TestJWTBearer(t *testing.T) {
	idp, other := verifytest.New("https://idp.example", tokeneptest.Issuer), verifytest.New("https://other.example", tokeneptest.Issuer)
	who, err := policy.CompileValue(`"idp:" + claims.sub`)
	if err != nil {
		t.Fatal(err)
	}
	only, err := policy.Compile(`claims.sub != "mallory"`)
	if err != nil {
		t.Fatal(err)
	}
	machines := subject.Policy{
		Name: "machines", Grants: []string{grant.JWTBearerType}, When: only, Clients: []string{subject.NoClient, "partner"}, Subject: who,
		Scope: verify.Scope{"orders:read"}, Audience: []string{tokeneptest.Orders}, Once: true,
	}
	f := tokeneptest.New(t, func(c *server.Config) {
		idp.Now, other.Now = c.Now, c.Now
		trusted := idp.Trust()
		trusted.Audience, trusted.Profile = nil, verify.ProfileJWT
		c.Subjects = []*subject.Source{{Name: idp.Name, Issuer: &trusted, Policies: []subject.Policy{machines}}}
		for _, id := range []string{"partner", "nobody"} {
			client := tokeneptest.NewClient(id, grant.JWTBearerType)
			client.Scope, client.Audience = verify.Scope{"orders:read"}, []string{tokeneptest.Orders}
			c.Clients = append(c.Clients, client)
		}
	})
	now := f.Clock.Now
	sign := func(change verifytest.Claims, options ...verifytest.Option) string {
		if _, given := change["exp"]; !given {
			change["exp"] = now().Add(time.Hour).Unix()
		}
		return idp.Sign(change, append([]verifytest.Option{verifytest.Header("typ", "JWT")}, options...)...)
	}
	ask := func(assertion string, pairs ...string) tokeneptest.Request {
		return tokeneptest.Post(append([]string{"grant_type", grant.JWTBearerType, "assertion", assertion}, pairs...)...)
	}
	type claims = verifytest.Claims
	const bad = tokenep.InvalidGrant
	grants, refuses := tokeneptest.Grants, tokeneptest.Refuses
	writes := f.Store.Writes()
	f.Run(t, []tokeneptest.Rule{
		refuses("no assertion", ask(""), 400, tokenep.InvalidRequest),
		refuses("two assertions", ask("x", "assertion", "y"), 400, tokenep.InvalidRequest),
		refuses("no JWT", ask("x"), 400, bad),
		refuses("§3 1: an issuer that is not trusted", ask(other.Sign(nil)), 400, bad),
		refuses("§3 2: a subject that the policy refuses", ask(sign(claims{"sub": "mallory"})), 400, bad),
		refuses("§3 2: no subject", ask(sign(claims{"sub": nil})), 400, bad),
		refuses("§3 3: for another server", ask(sign(claims{"aud": tokeneptest.Issuer + "/x"})), 400, bad),
		refuses("§3 3: for nobody", ask(sign(claims{"aud": nil})), 400, bad),
		refuses("§3 4: expired", ask(sign(claims{"exp": now().Add(-time.Minute).Unix()})), 400, bad),
		refuses("§3 4: no exp", ask(sign(claims{"exp": nil})), 400, bad),
		refuses("§3 5: not yet", ask(sign(claims{"nbf": now().Add(time.Minute).Unix()})), 400, bad),
		refuses("§3 7: no jti, where it is good once", ask(sign(claims{"jti": nil})), 400, bad),
		refuses("§3 7: good once, and for a year", ask(sign(claims{"exp": now().Add(8760 * time.Hour).Unix()})), 400, bad),
		refuses("§3 9: not signed", ask(sign(claims{}, verifytest.Unsigned())), 400, bad),
		refuses("§3 9: signed by somebody else", ask(sign(claims{}, verifytest.SignedBy(other))), 400, bad),
		refuses("bad credentials beside a good assertion", ask(sign(claims{})).Basic("partner", "wrong"), 401, tokenep.InvalidClient),
		refuses("a client that the policy does not name", ask(sign(claims{})).By("nobody"), 400, bad),
		refuses("a client without the grant", ask(sign(claims{})).By("billing"), 400, tokenep.UnauthorizedClient),
		refuses("more scope", ask(sign(claims{}), "scope", "admin"), 400, tokenep.InvalidScope),
		refuses("another resource", ask(sign(claims{}), "resource", tokeneptest.Invoices), 400, tokenep.InvalidTarget),
	})
	if now := f.Store.Writes(); now != writes {
		t.Errorf("%d records were written for refused requests", now-writes)
	}
	f.Run(t, []tokeneptest.Rule{
		grants("without a client (RFC 7521 §4.1)", ask(sign(claims{}))),
		grants("for the token endpoint", ask(sign(claims{"aud": tokeneptest.Issuer + tokeneptest.TokenPath}))),
		refuses("for several, of which each could send it here", ask(sign(claims{"aud": []string{"https://x.example", tokeneptest.Issuer}})), 400, bad),
		grants("by a client", ask(sign(claims{})).By("partner")),
		grants("narrower", ask(sign(claims{}), "scope", "orders:read", "resource", tokeneptest.Orders)),
	})
	assertion := sign(claims{})
	a, token := f.Granted(t, ask(assertion))
	if token.Subject != "idp:alice" || token.ClientID != "policy:machines" || len(token.Audience) != 1 || token.Audience[0] != tokeneptest.Orders {
		t.Errorf("claims: %v", token.Claims)
	}
	if a.JSON["refresh_token"] != nil || a.JSON["issued_token_type"] != nil {
		t.Errorf("answer: %s", a.Body)
	}
	again := f.Send(t, ask(assertion))
	again.Refused(t, 400, bad)
	if first := f.Send(t, ask("x")); string(first.Body) != string(again.Body) {
		t.Errorf("the answers differ: %s %s", first.Body, again.Body)
	}
}
