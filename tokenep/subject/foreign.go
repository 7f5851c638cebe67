package subject

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// Tokens that others have issued, whatever their kind (RFC 8693 §2.1, RFC 7523 §3).

// Leeway is what the clocks of other issuers and of this server may differ by.
const Leeway = outbound.Leeway

// Source is where tokens come from that somebody else has issued (RFC 8693 §2.1, RFC 7523 §3), and
// the policies for them.
type Source struct {
	Name string // of the issuer, or whatever tells sources apart; for the log

	// Issuer is an issuer of JWTs. nil: Prove is asked.
	Issuer *verify.TrustedIssuer

	// SPIFFE says that Issuer is a trust domain, and its JWTs are JWT-SVIDs: see
	// verify.TrustDomain.
	SPIFFE bool

	// IDJAG says that its JWTs are ID-JAGs, for the grant JWT bearer alone; nil: they are not.
	IDJAG *IDJAG

	// Types are the token type identifiers of what Prove is asked about.
	Types []string

	// Prove returns what a token says if it is good, with its Claims. The error of a bad one Is
	// ErrBadToken; any other one means that nobody knows at the moment.
	Prove func(ctx context.Context, r *tokenep.Request, token string) (*verify.Token, error)

	// Policies are tried in this order: the first that admits a token decides what comes of it.
	Policies []Policy
}

// ErrBadToken is the error of Source.Prove for a token that is not good.
var ErrBadToken = verify.ErrBadToken

// Validate returns what is wrong with the source and its policies.
func (s *Source) Validate() error {
	switch {
	case s.Issuer == nil && (s.Prove == nil || s.Form() != FormOther), s.SPIFFE && s.IDJAG != nil:
		return fmt.Errorf("source %s: nobody says whether its tokens are good", s.Name)
	case len(s.Policies) == 0:
		return fmt.Errorf("source %s: a policy is required, which says what comes of its tokens", s.Name)
	}
	for i := range s.Policies {
		if err := s.Policies[i].Validate(); err != nil {
			return err
		}
	}
	return nil
}

// Foreign is the kinds of token of all sources, for one grant type.
type Foreign struct {
	GrantType string
	Form      Form               // of the sources
	Verifier  *verify.Verifier   // of all issuers of such JWTs; nil: there are none
	Issuers   map[string]*Source // by issuer
	Audience  func() []string    // of JWTs for this server, where the issuer has no other
	Seen      state.Seen         // the ids of tokens that are good once
	Now       func() time.Time

	// Narrow leaves of an authorization what a client gets that asks for nothing in particular, or
	// returns why it gets nothing. It is for Try alone.
	Narrow func(context.Context, *tokenep.Client, *tokenep.Authorization) error
}

// Form is what kind of JWT a source makes. Each has a verifier of its own.
type Form int

// The forms.
const (
	FormOther  Form = iota // any JWT, and what is none
	FormIDJAG              // see IDJAG
	FormSPIFFE             // JWT-SVIDs
)

// Form returns what kind of JWT the source makes.
func (s *Source) Form() Form {
	switch {
	case s.IDJAG != nil:
		return FormIDJAG
	case s.SPIFFE:
		return FormSPIFFE
	}
	return FormOther
}

// choose returns the authorization of the policy that admits a good token, or the refusal. What the
// policies have decided is for the log. The request must have shown what the token is bound to, and
// the new token is bound to the same.
func (f *Foreign) choose(ctx context.Context, r *tokenep.Request, s *Source, t *verify.Token) (*tokenep.Authorization, error) {
	if err := r.Shown.Satisfies(t.Claims["cnf"]); err != nil {
		return nil, tokenep.InvalidRequest.Describe("the token is not valid").Because(fmt.Errorf("source %s: %w", s.Name, err))
	}
	reasons := []string{"source " + s.Name}
	asked := false
	for _, d := range s.decide(r.Client, t, f.GrantType, f.Now()) {
		switch {
		case d.Policy.DryRun:
			r.Outcome.Details = append(r.Outcome.Details, slog.String("dry_run", d.String()))
			if d.Err == nil {
				reasons = append(reasons, fmt.Sprintf("policy %s would have admitted it, and is a dry run", d.Policy.Name))
				continue
			}
		case d.Err == nil:
			r.Outcome.Details = append(r.Outcome.Details, slog.String("policy", d.Policy.Name))
			d.Authorization.Confirmation, _ = t.Claims["cnf"].(map[string]any)
			return d.Authorization, f.once(ctx, d, s, t)
		}
		asked = asked || errors.Is(d.Err, errClientAsked) && !d.Policy.DryRun
		reasons = append(reasons, d.String())
	}
	if len(reasons) == 1 {
		reasons = append(reasons, "there is no policy for this grant")
	}
	cause := errors.New(strings.Join(reasons, "; "))
	if asked {
		return nil, tokenep.InvalidClient.Describe("client authentication is required").Because(cause)
	}
	return nil, tokenep.InvalidRequest.Describe("the token is not accepted").Because(cause)
}

// space is that of the ids of its tokens: an issuer and a kind of token.
func (s *Source) space() string {
	switch {
	case s.IDJAG != nil:
		return "id-jag of " + s.Name
	case s.Issuer != nil:
		return "jwt of " + s.Name
	}
	return "token of " + strings.Join(append([]string{s.Name}, s.Types...), " ")
}

// once makes a token good for one access token, where the policy says so: it refuses one that was
// used, and has this one spent at the end.
func (f *Foreign) once(ctx context.Context, d Decision, s *Source, t *verify.Token) error {
	if !d.Policy.Once && (s.IDJAG == nil || s.IDJAG.AllowReplay) {
		return nil
	}
	used := func(err error) error {
		return tokenep.InvalidRequest.Describe("the token is not accepted").Because(fmt.Errorf("policy %s: jti: %w", d.Policy.Name, err))
	}
	if seen, err := f.Seen.Has(ctx, s.space(), t.ID); err != nil {
		return err
	} else if seen {
		return used(state.ErrSpent)
	}
	d.Authorization.Spends = s.space() + " " + t.ID
	d.Authorization.Spend = func(ctx context.Context) (none tokenep.RefreshToken, err error) {
		err = f.Seen.Add(ctx, s.space(), t.ID, t.Expires)
		if errors.Is(err, state.ErrSpent) || errors.Is(err, state.ErrExpired) {
			return none, used(err)
		}
		return none, err
	}
	d.Authorization.Unspend = func(ctx context.Context) {
		// Where the store is away it stays spent.
		_ = f.Seen.Forget(context.WithoutCancel(ctx), s.space(), t.ID)
	}
	return nil
}

// isForUs reports whether this server is the audience of a token.
func (f *Foreign) isForUs(t *verify.Token) bool {
	own := f.Audience()
	if f.GrantType != tokenep.TokenExchangeType && len(t.Audience) != 1 {
		return false // nobody else it is for could send it here (RFC 7523 §3)
	}
	return slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(own, a) })
}

// Kinds is the kinds of token that some sources make for a grant.
type Kinds struct {
	All       []tokenep.SubjectTokens
	Anonymous []string // token type identifiers of those that a policy admits without a client
}

// KindsOf returns the kinds of token that these sources make for the grant of f. Its Issuers are
// set by it.
func KindsOf(sources []*Source, f Foreign) (k Kinds) {
	f.Issuers = make(map[string]*Source)
	for _, s := range sources {
		serves, anonymous := false, false
		for i := range s.Policies {
			this, none := s.Policies[i].serves(f.GrantType)
			serves, anonymous = serves || this, anonymous || none
		}
		if !serves || s.Form() != f.Form {
			continue
		}
		var kind tokenep.SubjectTokens
		if s.Issuer != nil {
			switch kind = (JWTs{&f}); f.Form {
			case FormIDJAG:
				kind = IDJAGs{&f}
			case FormSPIFFE:
				kind = SVIDs{&f}
			}
			f.Issuers[s.Issuer.Name] = s
		} else {
			kind = Opaque{Foreign: &f, Source: s}
		}
		switch {
		case s.Issuer == nil:
			k.All = append(k.All, kind)
		case len(f.Issuers) == 1: // first, so that nobody else is shown the JWTs of an issuer
			k.All = append([]tokenep.SubjectTokens{kind}, k.All...)
		}
		if anonymous {
			k.Anonymous = append(k.Anonymous, kind.Types()...)
		}
	}
	return k
}
