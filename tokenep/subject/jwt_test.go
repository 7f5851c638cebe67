package subject_test

import (
	"context"
	"strings"
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

const githubIssuer = "https://token.actions.githubusercontent.com"

func when(t testing.TB, text string) *policy.Condition {
	t.Helper()
	c, err := policy.Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func value(t testing.TB, text string) *policy.Value {
	t.Helper()
	v, err := policy.CompileValue(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ci is an issuer of the identities of CI jobs.
func ci() *verifytest.Issuer { return verifytest.New(githubIssuer, tokeneptest.Issuer) }

// job is what a job says of itself.
func job(claims verifytest.Claims) verifytest.Claims {
	all := verifytest.Claims{
		"sub": "repo:acme/shop:ref:refs/heads/main", "repository": "acme/shop", "repository_id": "123", "ref": "refs/heads/main", "client_id": nil,
	}
	for name, value := range claims {
		all[name] = value
	}
	return all
}

// trusts makes a source of an issuer, with its policies. From then on the issuer has the clock of
// the server.
func trusts(i *verifytest.Issuer, policies ...subject.Policy) tokeneptest.Change {
	return func(c *server.Config) {
		i.Now = c.Now
		trusted := i.Trust()
		trusted.Audience, trusted.Profile = nil, verify.ProfileJWT
		c.Subjects = append(c.Subjects, &subject.Source{Name: i.Name, Issuer: &trusted, Policies: policies})
	}
}

// deploy lets the jobs of one branch of one repository do something.
func deploy(t testing.TB) subject.Policy {
	return subject.Policy{
		Name: "deploy", When: when(t, `claims.repository_id == "123" && claims.ref == "refs/heads/main"`),
		Subject: value(t, `"github:" + claims.repository`), Scope: verify.Scope{"orders:write", "orders:read"}, Audience: []string{tokeneptest.Orders},
		Claims: []subject.Claim{{Name: "repository", Value: value(t, "claims.repository")}, {Name: "missing", Value: value(t, "claims.missing")}},
		TTL:    10 * time.Minute,
	}
}

// RFC 8693 §2.1: the identity of a CI job for an access token, by a policy.
func TestExchangeOfForeignJWTs(t *testing.T) {
	github, other := ci(), verifytest.New("https://other.example", tokeneptest.Issuer)
	f := tokeneptest.New(t, trusts(github, deploy(t)))
	clock := f.Clock
	other.Now = clock.Now
	as := func(token string, pairs ...string) request {
		return tokeneptest.Exchange(token, grant.JWTType, pairs...).By("billing")
	}
	prover := f.NewProver()
	bound := verifytest.Claims{"cnf": map[string]any{"jkt": prover.Thumbprint()}}
	f.Run(t, []rule{
		grants("a job of the repository", as(github.Sign(job(nil)))),
		grants("as an ID token", tokeneptest.Exchange(github.Sign(job(nil)), subject.IDTokenType).By("billing")),
		grants("narrower", as(github.Sign(job(nil)), "scope", "orders:read", "audience", tokeneptest.Orders)),
		refuses("wider", as(github.Sign(job(nil)), "scope", "invoices"), 400, tokenep.InvalidScope),
		refuses("for another audience than the policy's", as(github.Sign(job(nil)), "audience", tokeneptest.Invoices), 400, tokenep.InvalidTarget),
		refuses("another repository", as(github.Sign(job(verifytest.Claims{"repository_id": "124"}))), 400, tokenep.InvalidRequest),
		refuses("a number is no text", as(github.Sign(job(verifytest.Claims{"repository_id": 123}))), 400, tokenep.InvalidRequest),
		refuses("a claim is missing", as(github.Sign(job(verifytest.Claims{"ref": nil}))), 400, tokenep.InvalidRequest),
		refuses("for another server", as(github.Sign(job(verifytest.Claims{"aud": "https://elsewhere.example"}))), 400, tokenep.InvalidRequest),
		refuses("expired", as(github.Sign(job(verifytest.Claims{"exp": clock.Now().Add(-time.Hour).Unix()}))), 400, tokenep.InvalidRequest),
		refuses("bound to a key", as(github.Sign(job(verifytest.Claims{"cnf": map[string]any{"jkt": "x"}}))), 400, tokenep.InvalidRequest),
		refuses("bound to a key, with a proof of another", as(github.Sign(job(bound))).Proving(f.NewProver(), nil), 400, tokenep.InvalidRequest),
		grants("bound to a key, with a proof", as(github.Sign(job(bound))).Proving(prover, nil)),
		refuses("may_act of a wrong type", as(github.Sign(job(verifytest.Claims{"may_act": "billing"}))), 400, tokenep.InvalidRequest),
		refuses("signed by another issuer, under its name and kid", as(github.Sign(job(nil), verifytest.SignedBy(other))), 400, tokenep.InvalidRequest),
		refuses("an issuer that nobody trusts", as(other.Sign(job(nil))), 400, tokenep.InvalidRequest),
		refuses("unsecured", as(github.Sign(job(nil), verifytest.Unsigned())), 400, tokenep.InvalidRequest),
		refuses("without a client", tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType), 401, tokenep.InvalidClient),
		refuses("by a client without the grant", as(github.Sign(job(nil))).By("reports"), 400, tokenep.UnauthorizedClient),
		refuses("as an assertion", post("grant_type", grant.JWTBearerType, "assertion", github.Sign(job(nil))).By("billing"), 400, tokenep.UnsupportedGrantType),
	})
	_, token := f.Granted(t, as(github.Sign(job(nil))))
	if token.Subject != "github:acme/shop" || token.ClientID != "billing" || token.Claims["repository"] != "acme/shop" || token.Claims["missing"] != nil {
		t.Errorf("claims: %v", token.Claims)
	}
	if life := token.Expires.Sub(token.IssuedAt); life != 10*time.Minute {
		t.Errorf("it lives %s, want the ttl of the policy", life)
	}
	_, token = f.Granted(t, as(github.Sign(job(verifytest.Claims{"exp": clock.Now().Add(time.Minute).Unix()}))))
	if life := token.Expires.Sub(token.IssuedAt); life != time.Minute {
		t.Errorf("it lives %s, want no longer than the subject token", life)
	}
}

// A public client, whose id proves nothing, gets what a policy lets public clients have. It acts
// for nobody.
func TestPublicClientsExchangeByPolicy(t *testing.T) {
	github := ci()
	open, closed := deploy(t), deploy(t)
	open.AllowPublic, open.When = true, when(t, `claims.ref == "refs/heads/open"`)
	closed.Name = "closed"
	public := func(c *server.Config) {
		app := tokenep.Client{ID: "sdk", GrantTypes: []string{exchange}, AuthMethod: tokenep.AuthNone, Audience: []string{tokeneptest.Orders}}
		app.ActorFrom, app.MayActFor = []string{"*"}, []string{"*"}
		c.Clients = append(c.Clients, app)
	}
	f := tokeneptest.New(t, public, trusts(github, open, closed))
	ask := func(ref string, pairs ...string) request {
		return tokeneptest.Exchange(github.Sign(job(verifytest.Claims{"ref": "refs/heads/" + ref})), grant.JWTType, append([]string{"client_id", "sdk"}, pairs...)...)
	}
	mayAct := github.Sign(job(verifytest.Claims{"ref": "refs/heads/open", "may_act": map[string]any{"client_id": "sdk"}}))
	f.Run(t, []rule{
		grants("by a policy for public clients", ask("open")),
		refuses("by another", ask("main"), 400, tokenep.InvalidRequest),
		refuses("with an actor", ask("open", "actor_token", f.Issued(t, plain.By("billing")), "actor_token_type", accessToken), 400, tokenep.InvalidRequest),
		refuses("as the actor that may_act names", tokeneptest.Exchange(mayAct, grant.JWTType, "client_id", "sdk"), 400, tokenep.InvalidRequest),
		refuses("an access token", swap(f.Issued(t, plain.By("billing")), "client_id", "sdk"), 400, tokenep.UnauthorizedClient),
	})
}

// A JWT that cannot be read here may be an opaque token to somebody else, who is asked; one of this
// server that is no good is shown to nobody.
func TestOddJWTsAreForOtherSources(t *testing.T) {
	var asked []string
	f := tokeneptest.New(t, func(c *server.Config) {
		p := subject.Policy{Name: "legacy", Subject: value(t, "claims.user"), Audience: []string{tokeneptest.Orders}}
		prove := func(_ context.Context, _ *tokenep.Request, token string) (*verify.Token, error) {
			asked = append(asked, token)
			return &verify.Token{Claims: map[string]any{"user": "ada"}}, nil
		}
		c.Subjects = []*subject.Source{{Name: "legacy", Types: []string{accessToken}, Prove: prove, Policies: []subject.Policy{p}}}
	})
	idp := verifytest.New("https://legacy.example", "x")
	for name, token := range map[string]string{
		"without any claim": idp.Sign(nil, verifytest.RawPayload("{}")), "an odd header": idp.Sign(nil, verifytest.RawHeader(`{"alg":"ES256","crit":["x"]}`)),
		"longer than a token here": idp.Sign(verifytest.Claims{"x": strings.Repeat("x", 9000)}), "of another issuer": idp.Sign(nil),
	} {
		t.Run(name, func(t *testing.T) {
			if _, given := f.Granted(t, swap(token).By("billing")); given.Subject != "ada" {
				t.Errorf("sub is %s", given.Subject)
			}
		})
	}
	asked = nil
	own := f.Issued(t, plain.By("billing"))
	f.Send(t, swap(f.Mint(t, tokenep.Claims{})).By("stranger")).Refused(t, 400, tokenep.InvalidRequest)
	forged := own[:strings.LastIndexByte(own, '.')+1] + strings.Repeat("A", 86)
	f.Send(t, swap(forged).By("billing")).Refused(t, 400, tokenep.InvalidRequest)
	f.Clock.Advance(5 * time.Hour)
	f.Send(t, swap(own).By("billing")).Refused(t, 400, tokenep.InvalidRequest)
	if len(asked) > 0 {
		t.Errorf("others were shown %q", asked)
	}
}
