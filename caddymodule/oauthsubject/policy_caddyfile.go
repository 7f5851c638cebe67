package oauthsubject

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify/policy"
)

// ParsePolicy reads a policy of a source. Syntax:
//
//	policy <name> {
//	    grants      token_exchange|jwt_bearer…
//	    when        <condition>
//	    clients     any|none|<ids…>
//	    allow_public
//	    subject     <expression>
//	    scope       <scope-tokens…>
//	    scope_claim <claim>
//	    audience    <values…>
//	    claim       <name> <expression>
//	    may_act     sub|client_id|iss <expression>
//	    refresh_token
//	    ttl         <duration>
//	    once
//	    dry_run
//	}
//
// Expressions with spaces or quotation marks stand between backticks.
func ParsePolicy(d *caddyfile.Dispenser, into *[]*Policy) error {
	p := new(Policy)
	if err := adapt.One(d, &p.Name); err != nil {
		return err
	}
	for _, other := range *into {
		if other.Name == p.Name {
			return d.Errf("policy %s is given twice", p.Name)
		}
	}
	*into = append(*into, p)
	block := *d // stays where the block begins
	if err := adapt.Block(d, func(option string) error { return p.parse(d, option) }, "claim", "may_act"); err != nil {
		return err
	}
	_, err := Policies([]*Policy{p})
	return adapt.Located(&block, err)
}

func (p *Policy) parse(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "grants":
		return adapt.Some(d, &p.Grants)
	case "when":
		return adapt.One(d, &p.When, func(text string) error {
			if _, err := compileCondition(text); err != nil {
				return fmt.Errorf("when: %w", err)
			}
			return nil
		})
	case "clients":
		return adapt.Some(d, &p.Clients)
	case "allow_public":
		return adapt.Flag(d, &p.AllowPublic)
	case "subject":
		return adapt.One(d, &p.Subject, func(text string) error {
			_, err := compileSubject(text)
			return err
		})
	case "scope":
		return adapt.Some(d, &p.Scope, func(tokens []string) error { return adapt.CheckScope(tokens, adapt.Line("scope")) })
	case "scope_claim":
		return adapt.One(d, &p.ScopeClaim)
	case "audience":
		return adapt.Audience(d, &p.Audience)
	case "claim":
		return parseClaim(d, &p.Claims, compileValue, "repository claims.repository")
	case "may_act":
		return parseClaim(d, &p.MayAct, compileText, "client_id `\"gateway\"`")
	case "refresh_token":
		return adapt.Flag(d, &p.RefreshToken)
	case "ttl":
		return adapt.Duration(d, &p.TTL, tokenep.CheckLife)
	case "once":
		return adapt.Flag(d, &p.Once)
	case "dry_run":
		return adapt.Flag(d, &p.DryRun)
	default:
		return adapt.Unknown(d)
	}
}

// parseClaim reads a name and an expression.
func parseClaim(d *caddyfile.Dispenser, into *[]Claim, compile func(string) (*policy.Value, error), example string) error {
	option, args := d.Val(), d.RemainingArgs()
	if len(args) != 2 || args[0] == "" {
		return d.Errf("%s takes a name and an expression, such as: %s %s", option, option, example)
	}
	if _, err := compile(args[1]); err != nil {
		return d.Errf("%s %s: %w", option, args[0], err)
	}
	*into = append(*into, Claim{Name: args[0], Value: args[1]})
	return nil
}

// ErrNoPolicy is the error of a source without a policy.
var ErrNoPolicy = errors.New("a policy is required, which says what comes of its tokens: policy <name> { subject claims.sub }")
