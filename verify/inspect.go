package verify

import (
	"context"
	"net/http"
	"slices"
)

// Check is the outcome of one check.
type Check struct {
	Name    string
	Err     error // an *Error; nil when the check passed or was skipped
	Skipped bool  // an earlier check failed, which leaves nothing to check

	// Elsewhere: a program elsewhere would have to be asked, which an inspection does not do.
	Elsewhere bool
}

// Inspect runs the checks of Verify without stopping at the first that fails, and without the
// cache. The token is what p.Token says, or nil if that cannot be read. Trust none of it unless
// every check passed.
func (v *Verifier) Inspect(ctx context.Context, p Presentation) (*Token, []Check) {
	var s verification
	s.start(ctx, v, p)
	report := make([]Check, 0, len(checks))
	for i, c := range checks {
		if !s.applies(i) {
			continue
		}
		check := Check{Name: c.name, Skipped: s.known&c.needs != c.needs}
		if !check.Skipped {
			if err := c.run(&s); err != nil {
				check.Err = err
			}
		}
		report = append(report, check)
	}
	if s.issuer != nil {
		return s.issuer.reading(s.token), report
	}
	return s.token, report
}

// Inspect says, check by check, what Admit would make of r with that token as a bearer token (RFC
// 6750 §2.1). It goes on after a check that fails, and changes nothing: no use is counted. Rules
// see r as they do in Admit, without what that removes. The limits of a token on addresses and
// rates are checked after the rules, if it has any; then the headers for its claims, and its
// credential for the upstream is found, if everything was good. The token is what its text says:
// trust none of it unless every check passed.
//
// The checks of a TokenVerifier that has no method Inspect, as a [Verifier] has, are not known:
// there is one then, verify.
func (g *Guard) Inspect(r *http.Request, token string) (*Token, []Check) {
	if err := g.Validate(); err != nil {
		return nil, []Check{{Name: "configuration", Err: err}}
	}
	r = r.Clone(r.Context())
	g.names.strip(r, g.staying(r))
	path := Check{Name: "path", Err: g.checkPath(r)}
	p := Presentation{Token: token, Scheme: bearer, Method: r.Method, URL: r.URL}
	t, checks := g.inspectToken(r, p)
	checks = append([]Check{path}, checks...)
	known := t != nil && t.Claims != nil
	add := func(name string, check func() error) {
		c := Check{Name: name, Skipped: !known}
		if known {
			c.Err = check()
		}
		checks = append(checks, c)
	}
	for i, rule := range g.rules {
		add(g.ruleNames[i], func() error { return rule(r, t) })
	}
	if t != nil && len(t.Limits) > 0 {
		checks = append(checks, Check{Name: "address", Err: g.limitAddress(r, t)}, Check{Name: "rate", Err: g.limitRate(t)})
	}
	if len(g.claims) > 0 {
		add("headers", func() error { return setClaims(r.Header, g.claims, t) })
	}
	if g.Replace != nil {
		checks = append(checks, g.inspectCredential(r, t, token, checks))
	}
	return t, checks
}

// inspectCredential finds the credential for a token that has passed the checks before.
func (g *Guard) inspectCredential(r *http.Request, t *Token, token string, before []Check) Check {
	check := Check{Name: "credential"}
	failed := func(c Check) bool { return c.Skipped || c.Err != nil }
	switch {
	case t == nil || slices.ContainsFunc(before, failed):
		check.Skipped = true
	case g.Replace.Elsewhere:
		check.Elsewhere = true
	default:
		_, check.Err = g.Replace.credential(r, t, token)
	}
	return check
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
