package subject

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Trial is what a source makes of a token, check by check (RFC 8693 §2.1, RFC 7523 §3), without
// anything being issued or spent.
type Trial struct {
	Source    *Source
	Token     *verify.Token  // what it says, forged perhaps, unless it is Good
	Checks    []verify.Check // by which the token is found good or bad
	Decisions []Decision     // of all policies, also if a check failed
}

// Good reports whether all checks passed.
func (t *Trial) Good() bool {
	for _, c := range t.Checks {
		if c.Err != nil || c.Skipped {
			return false
		}
	}
	return true
}

// Decides returns the policy that a token was admitted by; nil: it is refused.
func (t *Trial) Decides() *Policy {
	if !t.Good() {
		return nil
	}
	for _, d := range t.Decisions {
		if d.Err == nil && !d.Policy.DryRun {
			return d.Policy
		}
	}
	return nil
}

// forAnotherGrant says which grants a policy is for, as its configuration does.
func (p *Policy) forAnotherGrant() error {
	types := p.Grants
	if len(types) == 0 {
		types = []string{tokenep.TokenExchangeType}
	}
	names := make([]string, len(types))
	for i, grantType := range types {
		names[i] = tokenep.GrantName(grantType)
	}
	return fmt.Errorf("the policy is for another grant: %s", strings.Join(names, " "))
}

// Sent is a token as a client, or nobody, would send it.
type Sent struct {
	Token     string
	TokenType string          // empty: there is none, as for an assertion (RFC 7523 §2.1)
	Client    *tokenep.Client // nil: nobody
}

// Try returns what each of the sources makes of a token: those that a client would have met by
// sending it. A JWT is for its issuer alone.
func (f Foreign) Try(ctx context.Context, sources []*Source, sent Sent) (trials []*Trial) {
	if f.Verifier != nil {
		t, checks := f.Verifier.Inspect(ctx, verify.Presentation{Token: sent.Token})
		for _, s := range sources {
			if t == nil || s.Issuer == nil || s.Issuer.Name != t.Issuer || s.Form() != f.Form {
				continue
			}
			if s.IDJAG != nil && t.Header.Type != IDJAGType || sent.TokenType != "" && !slices.Contains(f.jwtTypes(), sent.TokenType) {
				continue
			}
			trial := &Trial{Source: s, Token: t, Checks: checks}
			trial.add(f.checkOwn(s, sent.Client, t))
			trial.add(checkBound(t))
			trials = append(trials, trial)
		}
	}
	if f.Form == FormOther && len(trials) == 0 && ofOthers(sent.Token) == nil {
		trials = f.ask(ctx, sources, sent)
	}
	for _, trial := range trials {
		trial.decide(ctx, &f, sent.Client)
	}
	return trials
}

// jwtTypes are the identifiers by which a client sends a JWT of an issuer.
func (f Foreign) jwtTypes() []string {
	if f.Form == FormSPIFFE {
		return SVIDs{}.Types()
	}
	return JWTs{}.Types()
}

// ask asks the sources that know such tokens alone, up to the one that does.
func (f Foreign) ask(ctx context.Context, sources []*Source, sent Sent) (trials []*Trial) {
	for _, s := range sources {
		if s.Issuer != nil || sent.TokenType != "" && !slices.Contains(s.Types, sent.TokenType) {
			continue
		}
		trial := &Trial{Source: s}
		r := &tokenep.Request{Request: (&http.Request{Header: make(http.Header)}).WithContext(ctx), Client: sent.Client, Dialect: new(tokenep.Dialect), Outcome: new(tokenep.Outcome)}
		var err error
		trial.Token, err = s.Prove(ctx, r, sent.Token)
		trial.Checks = []verify.Check{{Name: "source", Err: err}}
		if err == nil {
			trial.add(checkBound(trial.Token))
		}
		trials = append(trials, trial)
		if !errors.Is(err, ErrBadToken) {
			break
		}
	}
	return trials
}

func (t *Trial) add(c verify.Check) {
	if c.Name != "" {
		t.Checks = append(t.Checks, c)
	}
}

// checkOwn is the check that the verifier leaves to the source.
func (f *Foreign) checkOwn(s *Source, c *tokenep.Client, t *verify.Token) verify.Check {
	switch {
	case s.IDJAG != nil:
		return verify.Check{Name: "id-jag", Err: s.IDJAG.check(c, t, f.Now())}
	case len(s.Issuer.Audience) == 0 && !f.isForUs(t):
		return verify.Check{Name: "audience of this server", Err: fmt.Errorf("%w: %q, expected one of %q", errAudience, t.Audience, f.Audience())}
	}
	return verify.Check{}
}

// errBound is of a token whose sender must show a key: nobody sends anything here.
var errBound = errors.New("the token is bound to a key (cnf), which a request must show by a DPoP proof or a client certificate")

// checkBound says that a trial is no proof for a token that is bound to a key.
func checkBound(t *verify.Token) verify.Check {
	if t.Claims["cnf"] == nil {
		return verify.Check{}
	}
	_, err := verify.ParseConfirmation(t.Claims["cnf"])
	return verify.Check{Name: "key of the sender", Err: cmp.Or(err, errBound)}
}

// decide asks every policy, and what would be left of its answer for this client.
func (t *Trial) decide(ctx context.Context, f *Foreign, c *tokenep.Client) {
	if t.Token == nil {
		return
	}
	for i := range t.Source.Policies {
		d := Decision{Policy: &t.Source.Policies[i]}
		if serves, _ := d.Policy.serves(f.GrantType); serves {
			d.Authorization, d.Err = d.Policy.authorize(c, t.Token, f.Now())
		} else {
			d.Err = d.Policy.forAnotherGrant()
		}
		if d.Err == nil && t.Source.IDJAG != nil {
			d.Err = t.Source.IDJAG.narrow(t.Token, d.Authorization)
		}
		if d.Err == nil {
			d.Err = f.once(ctx, d, t.Source, t.Token)
		}
		if d.Err == nil {
			d.Err = f.Narrow(ctx, c, d.Authorization)
		}
		t.Decisions = append(t.Decisions, d)
	}
}
