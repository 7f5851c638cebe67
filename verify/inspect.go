package verify

import (
	"context"
	"net/http"
)

// Inspect says, check by check, what Admit would make of r with that token as a bearer token (RFC
// 6750 §2.1). It goes on after a check that fails, and changes nothing: no use is counted. The
// limits of a token on addresses and rates are the last checks, if it has any. The token is what
// its text says: trust none of it unless every check passed.
//
// The checks of a TokenVerifier that has no method Inspect, as a [Verifier] has, are not known:
// there is one then, verify.
func (g *Guard) Inspect(r *http.Request, token string) (*Token, []Check) {
	if err := g.Validate(); err != nil {
		return nil, []Check{{Name: "configuration", Err: err}}
	}
	path := Check{Name: "path"}
	if !g.InsecureAnyPath && ambiguousPath(r.URL) {
		path.Err = errPath
	}
	p := Presentation{Token: token, Scheme: bearer, Method: r.Method, URL: r.URL}
	t, checks := g.inspectToken(r, p)
	checks = append([]Check{path}, checks...)
	for i, rule := range g.rules {
		check := Check{Name: g.ruleNames[i], Skipped: t == nil || t.Claims == nil}
		if !check.Skipped {
			check.Err = rule(r, t)
		}
		checks = append(checks, check)
	}
	if t != nil && len(t.Limits) > 0 {
		checks = append(checks, Check{Name: "address", Err: g.limitAddress(r, t)}, Check{Name: "rate", Err: g.limitRate(t)})
	}
	return t, checks
}

func (g *Guard) inspectToken(r *http.Request, p Presentation) (*Token, []Check) {
	type inspector interface {
		Inspect(ctx context.Context, p Presentation) (*Token, []Check)
	}
	if v, ok := g.Verifier.(inspector); ok {
		return v.Inspect(r.Context(), p)
	}
	t, err := g.Verifier.Verify(r.Context(), p)
	return t, []Check{{Name: "verify", Err: err}}
}
