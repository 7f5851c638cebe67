package subject_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// sample is an issuer, its claims as documented, and the policy that somebody would write for it.
// The documentation is named in caddymodule/docs/issuers.md.
type sample struct {
	name, issuer string
	header       map[string]any // beside alg and kid
	claims       verifytest.Claims
	when, sub    string
	want         string // the sub of the access token

	// neighbours have one claim otherwise, and are refused: a value at a path, whose parts are
	// between bars.
	neighbours map[string]any
}

var samples = []sample{
	{
		name: "GitHub Actions", issuer: githubIssuer, header: map[string]any{"typ": "JWT", "x5t": "Hx2Tq"},
		claims: verifytest.Claims{
			"sub": "repo:octo-org@65/octo-repo@74:environment:prod", "environment": "prod", "ref": "refs/heads/main", "sha": "5d0b4c",
			"repository": "octo-org/octo-repo", "repository_owner": "octo-org", "repository_id": "74", "repository_owner_id": "65",
			"repository_visibility": "private", "actor": "octocat", "actor_id": "12", "run_id": "1001", "run_number": "10", "run_attempt": "2",
			"runner_environment": "github-hosted", "workflow": "release", "head_ref": "", "base_ref": "", "event_name": "push",
			"ref_type": "branch", "job_workflow_ref": "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
		},
		when: `claims.repository_id == "74" && claims.ref == "refs/heads/main" && claims.event_name != "pull_request"`,
		sub:  `"github:" + claims.repository`, want: "github:octo-org/octo-repo",
		neighbours: map[string]any{
			"repository_id": "75", "ref": "refs/heads/main2", "event_name": "pull_request", "repository": nil,
		},
	},
	{
		name: "GitLab CI", issuer: "https://gitlab.example.com", header: map[string]any{"typ": "JWT"},
		claims: verifytest.Claims{
			"sub": "project_path:shop/api:ref_type:branch:ref:main", "namespace_id": "72", "namespace_path": "shop", "project_id": "20",
			"project_path": "shop/api", "user_id": "1", "user_login": "alice", "user_email": "alice@example.com", "pipeline_id": "574",
			"pipeline_source": "push", "job_id": "302", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main",
			"ref_protected": "true", "runner_id": 1, "runner_environment": "self-hosted", "sha": "714a62", "project_visibility": "private",
		},
		when: `claims.namespace_path == "shop" && claims.project_id == "20" && claims.ref_protected == "true"`,
		sub:  `"gitlab:" + claims.project_path`, want: "gitlab:shop/api",
		neighbours: map[string]any{
			"namespace_path": "shop/fork", "project_id": "21", "ref_protected": "false", "project_path": nil,
		},
	},
	{
		name: "Kubernetes", issuer: "https://kubernetes.default.svc.cluster.local",
		claims: verifytest.Claims{
			"sub": "system:serviceaccount:shop:deployer", "aud": []string{tokeneptest.Issuer},
			"kubernetes.io": map[string]any{
				"namespace": "shop", "node": map[string]any{"name": "n1", "uid": "6d"}, "pod": map[string]any{"name": "p1", "uid": "11"},
				"serviceaccount": map[string]any{"name": "deployer", "uid": "a9"},
			},
		},
		when: `claims["kubernetes.io"].namespace == "shop" && claims["kubernetes.io"].serviceaccount.name == "deployer"`,
		sub:  `claims.sub`, want: "system:serviceaccount:shop:deployer",
		neighbours: map[string]any{
			"kubernetes.io|namespace": "shop2", "kubernetes.io|serviceaccount|name": "default", "kubernetes.io|serviceaccount": nil,
			"kubernetes.io": "shop",
		},
	},
	{
		name: "Google", issuer: "https://accounts.google.com", header: map[string]any{"typ": "JWT"},
		claims: verifytest.Claims{
			"sub": "113774264463038321964", "azp": "113774264463038321964", "email": "robot@acme.iam.gserviceaccount.com", "email_verified": true,
			"jti": nil,
			"google": map[string]any{"compute_engine": map[string]any{
				"project_id": "acme", "project_number": 739419398126, "zone": "us-west1-a", "instance_id": "152986662232938449", "instance_name": "api",
			}},
		},
		when: `claims.sub == "113774264463038321964" && claims.email_verified && claims.google.compute_engine.project_id == "acme"`,
		sub:  `"google:" + claims.sub`, want: "google:113774264463038321964",
		neighbours: map[string]any{
			"sub": "113774264463038321965", "email_verified": "true", "google|compute_engine|project_id": "other", "google": nil,
			"at_hash": "cOLvW2", // it is the ID token of a login
		},
	},
	{
		name: "Okta", issuer: "https://dev-123456.okta.com/oauth2/default",
		claims: verifytest.Claims{
			"sub": "alice@example.com", "ver": 1, "cid": "0oa1", "uid": "00u1", "scp": []string{"openid", "orders:read"}, "auth_time": 1700000000,
			"groups": []string{"Everyone", "shop"},
		},
		when: `claims.cid == "0oa1" && "shop" in claims.groups`, sub: `"okta:" + claims.uid`, want: "okta:00u1",
		neighbours: map[string]any{"cid": "0oa2", "groups": []string{"Everyone", "shopkeepers"}, "uid": nil, "groups|": "shop"},
	},
	{
		name: "Entra v1", issuer: "https://sts.windows.net/72f988bf/", header: map[string]any{"typ": "JWT", "x5t": "CtTuhMJm"},
		claims: verifytest.Claims{
			"sub": "AAAA", "tid": "72f988bf", "oid": "690222be", "appid": "75dbe77f", "appidacr": "1", "idp": "https://sts.windows.net/72f988bf/",
			"idtyp": "app", "roles": []string{"Orders.Read"}, "uti": "_sSP3AwBY0S", "ver": "1.0", "aio": "E2Jg", "rh": "0.AAAA", "jti": nil,
		},
		when: `claims.tid == "72f988bf" && claims.appid == "75dbe77f" && "Orders.Read" in claims.roles`,
		sub:  `"entra:" + claims.tid + ":" + claims.oid`, want: "entra:72f988bf:690222be",
		neighbours: map[string]any{"tid": "72f988c0", "appid": "75dbe780", "roles": nil, "oid": nil},
	},
	{
		name: "Entra v2", issuer: "https://login.microsoftonline.com/72f988bf/v2.0", header: map[string]any{"typ": "JWT"},
		claims: verifytest.Claims{
			"sub": "HKZpfaHyWadeOouYlitjrI", "tid": "72f988bf", "oid": "bfdb2a9d", "azp": "7b8f6a6b", "azpacr": "1", "name": "Alice",
			"preferred_username": "alice@example.com", "scp": "orders:read orders:write", "uti": "fqiBqXLPj0e", "ver": "2.0", "aio": "AXQA", "rh": "0.BBBB",
			"jti": nil,
		},
		when: `claims.tid == "72f988bf" && claims.azp == "7b8f6a6b" && "orders:read" in claims.scp.split(" ")`,
		sub:  `"entra:" + claims.tid + ":" + claims.oid`, want: "entra:72f988bf:bfdb2a9d",
		neighbours: map[string]any{"tid": "9122040d", "azp": nil, "scp": "orders:read2", "oid": 7},
	},
}

// change returns claims with one of them otherwise.
func change(claims verifytest.Claims, path string, value any) verifytest.Claims {
	changed := maps.Clone(claims)
	name, rest, deeper := strings.Cut(path, "|")
	if inner, ok := changed[name].(map[string]any); ok && deeper {
		value = map[string]any(change(inner, rest, value))
	}
	changed[name] = value
	if value == nil && deeper {
		delete(changed, name)
	}
	return changed
}

// RFC 8693 §2.1: what issuers give to jobs, workloads and clients, as they make it, for an access
// token. All issuers are trusted by one server, each with a policy of its own.
func TestIssuersElsewhere(t *testing.T) {
	issuers := make([]*verifytest.Issuer, len(samples))
	changes := make([]tokeneptest.Change, len(samples))
	for i, s := range samples {
		issuers[i] = verifytest.New(s.issuer, tokeneptest.Issuer, "RS256")
		changes[i] = trusts(issuers[i], subject.Policy{
			Name: strings.ReplaceAll(s.name, " ", "-"), When: when(t, s.when), Subject: value(t, s.sub),
			Scope: verify.Scope{"orders:read"}, Audience: []string{tokeneptest.Orders}, Clients: []string{subject.NoClient},
		})
	}
	f := tokeneptest.New(t, changes...)
	for i, s := range samples {
		sign := func(claims verifytest.Claims, options ...verifytest.Option) string {
			claims = maps.Clone(claims)
			if _, given := claims["client_id"]; !given {
				claims["client_id"] = nil
			}
			all := []verifytest.Option{verifytest.Header("typ", nil)}
			for name, value := range s.header {
				all = append(all, verifytest.Header(name, value))
			}
			return issuers[i].Sign(claims, append(all, options...)...)
		}
		exchange := func(token string) request { return tokeneptest.Exchange(token, grant.JWTType) }
		other := issuers[(i+1)%len(issuers)]
		t.Run(s.name, func(t *testing.T) {
			rules := []rule{
				grants("as documented", exchange(sign(s.claims))),
				refuses("the key of another issuer, under the kid of this one", exchange(sign(s.claims, verifytest.SignedBy(other))), 400, tokenep.InvalidRequest),
				refuses("the name of another issuer", exchange(sign(change(s.claims, "iss", other.Name))), 400, tokenep.InvalidRequest),
				refuses("a slash more in iss", exchange(sign(change(s.claims, "iss", s.issuer+"/"))), 400, tokenep.InvalidRequest),
				refuses("a kid that is none of its keys", exchange(sign(s.claims, verifytest.Header("kid", "ES256"))), 400, tokenep.InvalidRequest),
				refuses("for another server", exchange(sign(change(s.claims, "aud", "https://github.com/octo-org"))), 400, tokenep.InvalidRequest),
				refuses("typ of an ID-JAG", exchange(sign(s.claims, verifytest.Header("typ", subject.IDJAGType))), 400, tokenep.InvalidRequest),
				refuses("a logout token", exchange(sign(change(s.claims, "events", map[string]any{}))), 400, tokenep.InvalidRequest),
			}
			for path, value := range s.neighbours {
				rules = append(rules, refuses("another "+path, exchange(sign(change(s.claims, path, value))), 400, tokenep.InvalidRequest))
			}
			f.Run(t, rules)
			_, token := f.Granted(t, exchange(sign(s.claims)))
			if token.Subject != s.want {
				t.Errorf("sub %q, want %q", token.Subject, s.want)
			}
		})
	}
}

// RFC 9700 §4.4: what one issuer says is of no use for the policy of another.
func TestIssuerMixUp(t *testing.T) {
	a, b := verifytest.New("https://a.example", tokeneptest.Issuer), verifytest.New("https://b.example", tokeneptest.Issuer)
	policy := func(name, sub string, grants ...string) subject.Policy {
		return subject.Policy{Name: name, Subject: value(t, sub), Grants: grants, Scope: verify.Scope{"orders:read"}, Clients: []string{subject.NoClient}}
	}
	f := tokeneptest.New(t, trusts(a, policy("a", `"a:" + claims.sub`, grant.TokenExchangeType)), trusts(b,
		policy("b", `"b:" + claims.sub`, grant.JWTBearerType)))
	exchange := func(token string) request { return tokeneptest.Exchange(token, grant.JWTType) }
	assert := func(token string) request {
		return post("grant_type", grant.JWTBearerType, "assertion", token)
	}
	f.Run(t, []rule{
		grants("of A, where A has a policy", exchange(a.Sign(nil))),
		grants("of B, where B has one", assert(b.Sign(nil))),
		refuses("of B, where A alone has one", exchange(b.Sign(nil)), 400, tokenep.InvalidRequest),
		refuses("of A, where B alone has one", assert(a.Sign(nil)), 400, tokenep.InvalidGrant),
		refuses("A says that it is B", exchange(a.Sign(verifytest.Claims{"iss": b.Name})), 400, tokenep.InvalidRequest),
		refuses("B says that it is A", assert(b.Sign(verifytest.Claims{"iss": a.Name})), 400, tokenep.InvalidGrant),
		refuses("B signs for A, under the kid that both have", exchange(a.Sign(nil, verifytest.SignedBy(b))), 400, tokenep.InvalidRequest),
		refuses("A signs for B", assert(b.Sign(nil, verifytest.SignedBy(a))), 400, tokenep.InvalidGrant),
	})
	_, ofA := f.Granted(t, exchange(a.Sign(nil)))
	_, ofB := f.Granted(t, assert(b.Sign(nil)))
	if ofA.Subject != "a:alice" || ofB.Subject != "b:alice" {
		t.Errorf("alice of A is %q, alice of B %q", ofA.Subject, ofB.Subject)
	}
	if ofA.GrantID == ofB.GrantID {
		t.Error("what came of the one is revoked with the other")
	}
}

// The same token has the same answer, whatever was asked before.
func TestPoliciesRememberNothing(t *testing.T) {
	github := ci()
	f := tokeneptest.New(t, trusts(github, deploy(t)))
	good, bad := github.Sign(job(nil)), github.Sign(job(verifytest.Claims{"ref": "refs/heads/x"}))
	as := func(token string) request { return tokeneptest.Exchange(token, grant.JWTType).By("billing") }
	for range 3 {
		f.Run(t, []rule{grants("good", as(good)), refuses("bad", as(bad), 400, tokenep.InvalidRequest)})
	}
}
