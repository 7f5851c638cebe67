package oauthsubject

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/policy"
)

// Policy says what comes of a token that somebody else has issued. Of the policies of one source,
// the first one that admits a token decides.
//
// Conditions and values are expressions of the Common Expression Language (https://cel.dev) over
// the variable claims, which has all that the token says: claims.ref == "refs/heads/main". They are
// compiled when the configuration is loaded. An expression that fails, such as for a claim that is
// missing, does not hold; has(claims.ref) asks. Patterns of matches() must be for the whole text.
type Policy struct {
	// The name, by which it is known in the log, and by which what came of it can be revoked: the
	// grant_id of such tokens is "policy:" and the name. Required.
	Name string `json:"name,omitempty"`

	// Which grants it is for: token_exchange (RFC 8693), jwt_bearer (RFC 7523 §2.1), or both.
	// Default: token_exchange.
	Grants []string `json:"grants,omitempty"`

	// The condition over the claims. Default: every token of the source is admitted.
	When string `json:"when,omitempty"`

	// The ids of the clients that may get a token by it. The word any stands for every client that
	// authenticates and has the grant, and none for a request without a client. Default: any.
	Clients []string `json:"clients,omitempty"`

	// Let public clients be among them, which do not authenticate. Default: false.
	AllowPublic bool `json:"allow_public,omitempty"`

	// The expression that makes the sub of access tokens: claims.sub, or "ci:" + claims.repository.
	// Two sources may call different people by the same name; a prefix tells them apart. Required.
	Subject string `json:"subject,omitempty"`

	// The scope of access tokens, at most. Default: none.
	Scope []string `json:"scope,omitempty"`

	// A claim of the token without which scope-tokens are not given: a text with spaces between
	// them, or a list. Default: none, and all of scope is given.
	ScopeClaim string `json:"scope_claim,omitempty"`

	// What access tokens are for, at most. Default: the audience of the server.
	Audience []string `json:"audience,omitempty"`

	// Further claims of access tokens. One whose expression fails is left out. Default: none.
	Claims []Claim `json:"claims,omitempty"`

	// Who may act for the subject (RFC 8693 §4.4): the members of the may_act of access tokens,
	// which are sub, client_id and iss. An actor must match all of them. Where one cannot be made,
	// the token is not admitted. Default: the may_act of the client.
	MayAct []Claim `json:"may_act,omitempty"`

	// Give a client a refresh token as well, by token exchange, if it may use the grant
	// refresh_token. With it access goes on after the subject token has expired, until max_chain of
	// token_exchange, which is required, after the exchange. Default: false.
	RefreshToken bool `json:"refresh_token,omitempty"`

	// How long access tokens live, at most; never longer than the token that they came of. Default:
	// as the server says.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// A token is good for one access token: its jti is remembered until it expires. Default: false.
	Once bool `json:"once,omitempty"`

	// Log what the policy would have done, and do nothing. Default: false.
	DryRun bool `json:"dry_run,omitempty"`
}

// Claim is a further claim of access tokens, or a member of their may_act.
type Claim struct {
	// The name. A further claim has none that has a meaning of its own in access tokens. Required.
	Name string `json:"name"`

	// The expression that makes its value: a text; or a number, true or false, or a list of texts,
	// in a further claim. Required.
	Value string `json:"value"`
}

// grantNames are the grants that a policy can be for.
var grantNames = map[string]string{"token_exchange": grant.TokenExchangeType, "jwt_bearer": grant.JWTBearerType}

// Policies returns the policies of a source, or what is wrong with them.
func Policies(configured []*Policy) ([]subject.Policy, error) {
	policies := make([]subject.Policy, len(configured))
	for i, p := range configured {
		if p == nil {
			return nil, errors.New("a policy must not be null")
		}
		var err error
		if policies[i], err = p.compile(); err != nil {
			return nil, fmt.Errorf("policy %s: %w", p.Name, err)
		}
		if err := policies[i].Validate(); err != nil {
			return nil, err
		}
	}
	return policies, nil
}

// compile returns the policy of the library.
func (p *Policy) compile() (compiled subject.Policy, err error) {
	compiled = subject.Policy{
		Name: p.Name, Clients: p.Clients, AllowPublic: p.AllowPublic, ScopeClaim: p.ScopeClaim,
		RefreshToken: p.RefreshToken, TTL: time.Duration(p.TTL), Once: p.Once, DryRun: p.DryRun,
	}
	for _, name := range p.Grants {
		grantType, known := grantNames[name]
		if !known {
			return compiled, fmt.Errorf("grants: %q is none; there are token_exchange and jwt_bearer", name)
		}
		compiled.Grants = append(compiled.Grants, grantType)
	}
	if p.When != "" {
		if compiled.When, err = compileCondition(p.When); err != nil {
			return compiled, fmt.Errorf("when: %w", err)
		}
	}
	if p.Subject != "" {
		if compiled.Subject, err = compileSubject(p.Subject); err != nil {
			return compiled, err
		}
	}
	if err := adapt.CheckScope(p.Scope, adapt.Line("scope")); err != nil {
		return compiled, err
	}
	if compiled.Scope, err = verify.ParseScope(strings.Join(p.Scope, " ")); err != nil {
		return compiled, fmt.Errorf("scope: %w", err)
	}
	if compiled.Audience, err = adapt.ResolveAudience(p.Audience); err != nil {
		return compiled, err
	}
	if compiled.Claims, err = compileClaims("claim", p.Claims, compileValue); err != nil {
		return compiled, err
	}
	compiled.MayAct, err = compileClaims("may_act", p.MayAct, compileText)
	return compiled, err
}

// The compilers of expressions, in which nobody would resolve a placeholder.
var (
	compileCondition = withoutPlaceholders(policy.Compile)
	compileText      = withoutPlaceholders(policy.CompileText)
	compileValue     = withoutPlaceholders(policy.CompileValue)
)

func withoutPlaceholders[T any](compile func(string) (T, error)) func(string) (T, error) {
	return func(text string) (T, error) {
		compiled, err := compile(text)
		return compiled, cmp.Or(err, adapt.CheckExpression(text))
	}
}

// compileSubject compiles the expression of a subject. One that is the same for all tokens must be
// the name of a user.
func compileSubject(text string) (*policy.Value, error) {
	value, err := compileText(text)
	if err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	if name, ok := value.Constant().(string); ok {
		if err := tokenep.CheckUser(name); err != nil {
			return nil, fmt.Errorf("subject %s: %w", text, err)
		}
	}
	return value, nil
}

// compileClaims compiles what claims, or members of one, are made of.
func compileClaims(option string, claims []Claim, compile func(string) (*policy.Value, error)) (compiled []subject.Claim, err error) {
	for _, c := range claims {
		value, err := compile(c.Value)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", option, c.Name, err)
		}
		compiled = append(compiled, subject.Claim{Name: c.Name, Value: value})
	}
	return compiled, nil
}
