package subject

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/policy"
)

// Policy says which tokens of a source become access tokens, for whom, and what of: the most that
// may be issued. A token that no policy admits is refused.
type Policy struct {
	Name string // client_id is PolicyClientPrefix and Name where no client takes part

	// Grants are the grant types for which it is. None: token exchange alone.
	Grants []string

	// When is a condition over the claims; nil: there is none.
	When *policy.Condition

	// Clients are the ids of the clients that may do so; AnyClient stands for each that
	// authenticates, and NoClient for none at all. None: AnyClient.
	Clients []string

	// AllowPublic lets those clients be public ones, which do not authenticate.
	AllowPublic bool

	// Subject makes the sub of the access token. Required: two sources may mean different people by
	// the same name.
	Subject *policy.Value

	Scope      verify.Scope // at most
	ScopeClaim string       // of that, no more than this claim has, by its path; empty: all of it
	Audience   []string     // at most; empty: the server's default

	// Claims are further claims of the access token.
	Claims []Claim

	// MayAct makes the members of its may_act (RFC 8693 §4.4): who may act for its subject later.
	// None: it has the may_act that the client's tokens have. One of an assertion stays instead.
	MayAct []Claim

	// RefreshToken gives a client that may use them a refresh token as well, by token exchange.
	RefreshToken bool

	TTL  time.Duration // at most; 0: no bound but that of the token
	Once bool          // the jti is good for one access token

	// DryRun has it log what it would have done. The next policy is tried.
	DryRun bool
}

// Claim is a claim of an access token, or a member of one, that is made of others.
type Claim struct {
	Name  string
	Value *policy.Value
}

// The words for clients in Policy.Clients.
const (
	AnyClient = "any"
	NoClient  = "none"
)

var policyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Validate returns what is wrong with the policy.
func (p *Policy) Validate() error {
	failed := func(err error) error { return fmt.Errorf("policy %s: %w", p.Name, err) }
	switch {
	case !policyName.MatchString(p.Name):
		return fmt.Errorf("policy %q: a name has 1 to 64 letters, digits, dots, hyphens and underscores", p.Name)
	case p.Subject == nil:
		return failed(errors.New("subject is missing: an expression that makes the sub of access tokens, such as claims.sub, or \"ci:\" + claims.repository"))
	case p.TTL < 0:
		return failed(errors.New("the ttl must not be negative"))
	case slices.Contains(p.Clients, NoClient) && len(p.Clients) == 1 && p.AllowPublic:
		return failed(errors.New("allow_public is for policies that want a client"))
	case p.RefreshToken && slices.Contains(p.Clients, NoClient) && len(p.Clients) == 1:
		return failed(errors.New("refresh_token is for policies that want a client"))
	case p.RefreshToken && !p.exchanges():
		return failed(errors.New("refresh_token is for the grant token_exchange: a client sends another assertion instead (RFC 7521 §4.1)"))
	case !tokenep.FitsToken(p.Scope, p.Audience):
		return failed(errors.New("so much scope and audience do not fit into one token"))
	}
	if err := cmp.Or(p.checkClaims(), checkMayAct(p.MayAct)); err != nil {
		return failed(err)
	}
	return nil
}

// checkClaims returns what is wrong with the claims that are written, or read.
func (p *Policy) checkClaims() error {
	extra := make(map[string]any, len(p.Claims))
	for _, c := range p.Claims {
		if _, twice := extra[c.Name]; twice {
			return fmt.Errorf("claim %s is given twice", c.Name)
		}
		extra[c.Name] = nil
	}
	if _, err := verify.ParseClaimPath(p.ScopeClaim); p.ScopeClaim != "" && err != nil {
		return fmt.Errorf("scope_claim: %w", err)
	}
	return tokenep.CheckExtra(extra)
}

func (p *Policy) exchanges() bool {
	serves, _ := p.serves(tokenep.TokenExchangeType)
	return serves
}

// bound ends a by the ttl of the policy.
func (p *Policy) bound(a *tokenep.Authorization, now time.Time) {
	if end := now.Add(p.TTL); p.TTL > 0 && (a.NotAfter.IsZero() || end.Before(a.NotAfter)) {
		a.NotAfter = end
	}
}

// serves reports whether a policy is for a grant type, and whether that may go without a client.
func (p *Policy) serves(grantType string) (serves, anonymous bool) {
	serves = slices.Contains(p.Grants, grantType) || len(p.Grants) == 0 && grantType == tokenep.TokenExchangeType
	return serves, serves && !p.DryRun && slices.Contains(p.Clients, NoClient)
}

var (
	errNotAdmitted = errors.New("the policy is not for this client")
	errCondition   = errors.New("the condition does not hold")
	errNoSubject   = errors.New("the subject is no text")
	errNoScope     = errors.New("the token has nothing of the scope of the policy")
	errOnce        = fmt.Errorf("the token is to be good once, so it needs a jti, and an exp within %s", state.MaxSeenLife)
	errNoRefresh   = errors.New("the policy gives no refresh tokens, or is for another audience")
	errClientAsked = errors.New("the policy wants an authenticated client")
)

// admits returns why the policy is not for this client; nil: it is.
func (p *Policy) admits(c *tokenep.Client) error {
	switch {
	case c == nil && !slices.Contains(p.Clients, NoClient):
		return errClientAsked
	case c == nil:
		return nil
	case c.Public() && !p.AllowPublic:
		return errNotAdmitted
	case len(p.Clients) == 0, slices.Contains(p.Clients, AnyClient), slices.Contains(p.Clients, c.ID):
		return nil
	}
	return errNotAdmitted
}

// Decision is what one policy makes of a token.
type Decision struct {
	Policy        *Policy
	Authorization *tokenep.Authorization // nil: it does not admit the token
	Err           error                  // why not
}

// decide returns what the policies make of a good token, in their order, up to the one that admits
// it. None of that depends on anything but the token, the client and the grant.
func (s *Source) decide(c *tokenep.Client, t *verify.Token, grantType string, now time.Time) (decisions []Decision) {
	for i := range s.Policies {
		p := &s.Policies[i]
		if serves, _ := p.serves(grantType); !serves {
			continue
		}
		d := Decision{Policy: p}
		if d.Authorization, d.Err = p.authorize(c, t, now); d.Err == nil && t.Issuer == "" {
			d.Authorization.Issuer = s.Name
		}
		decisions = append(decisions, d)
		if d.Err == nil && !p.DryRun {
			break
		}
	}
	return decisions
}

// authorize returns what at most may be issued for a token, or why nothing is.
func (p *Policy) authorize(c *tokenep.Client, t *verify.Token, now time.Time) (*tokenep.Authorization, error) {
	if p.When != nil {
		holds, err := p.When.Holds(t.Claims)
		if err == nil && !holds {
			err = errCondition
		}
		if err != nil {
			return nil, err
		}
	}
	if err := p.admits(c); err != nil {
		return nil, err
	}
	if p.Once && (t.ID == "" || t.Expires.IsZero() || t.Expires.After(now.Add(state.MaxSeenLife))) {
		return nil, errOnce
	}
	scope, err := p.scope(t)
	if err != nil {
		return nil, err
	}
	a := &tokenep.Authorization{
		ClientID: tokenep.PolicyClientPrefix + p.Name, GrantID: tokenep.PolicyGrantPrefix + p.Name,
		Scope: scope, Audience: p.Audience, NotAfter: t.Expires, Issuer: t.Issuer, Original: original(t),
		AllowPublic: p.AllowPublic, AllowAnonymous: c == nil,
		GiveRefresh: p.RefreshToken && c != nil && c.May(tokenep.RefreshTokenType),
	}
	p.bound(a, now)
	if a.Subject, err = p.subject(t); err != nil {
		return nil, err
	}
	if a.Act, err = foreignActors(t, "act"); err != nil {
		return nil, err
	}
	if a.MayAct, err = foreignActors(t, "may_act"); err != nil {
		return nil, err
	}
	if a.GiveMayAct, err = p.mayAct(t); err != nil {
		return nil, err
	}
	a.Extra, err = p.claims(t)
	return a, err
}

func (p *Policy) subject(t *verify.Token) (string, error) {
	value, err := p.Subject.Of(t.Claims)
	if err != nil {
		return "", fmt.Errorf("subject: %w", err)
	}
	subject, ok := value.(string)
	if !ok {
		return "", errNoSubject
	}
	return subject, tokenep.CheckUser(subject)
}

// scope returns the scope of the policy, as far as the token has it. It must have some.
func (p *Policy) scope(t *verify.Token) (verify.Scope, error) {
	if p.ScopeClaim == "" {
		return p.Scope, nil
	}
	path, _ := verify.ParseClaimPath(p.ScopeClaim) // which Validate has tried
	value, _ := t.Claim(path...)
	var has verify.Scope
	switch value := value.(type) {
	case string:
		has = strings.Fields(value)
	case []any:
		for i := range value {
			text, _ := value[i].(string)
			has = append(has, text)
		}
	}
	common := p.Scope.Intersect(has)
	if len(common) == 0 && len(p.Scope) > 0 {
		return nil, errNoScope
	}
	return common, nil
}

// claims returns the further claims. One whose value is missing, or cannot be a claim, is left out.
func (p *Policy) claims(t *verify.Token) (map[string]any, error) {
	if len(p.Claims) == 0 {
		return nil, nil
	}
	claims := make(map[string]any, len(p.Claims))
	for _, c := range p.Claims {
		value, err := c.Value.Of(t.Claims)
		if err != nil {
			continue
		}
		if value = tokenep.ClaimValue(value); value != nil {
			claims[c.Name] = value
		}
	}
	return claims, nil
}

// String says what a policy decided, for the log.
func (d Decision) String() string {
	if d.Err != nil {
		return fmt.Sprintf("policy %s: %v", d.Policy.Name, d.Err)
	}
	a := d.Authorization
	return fmt.Sprintf("policy %s: sub %s, scope %s, aud %q", d.Policy.Name, a.Subject, a.Scope, a.Audience)
}
