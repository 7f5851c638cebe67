package subject

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Who acts, and who may act (RFC 8693 §4.1, §4.4): what a token says of it, and what a policy does.

// actors returns the claim act or may_act, and nil where the token has none. What is there and
// does not say who (RFC 8693 §4.1, §4.4), at any depth, is not taken for absent: then anybody could
// act.
func actors(t *verify.Token, claim string) (map[string]any, error) {
	value, present := t.Claims[claim]
	actor, ok := value.(map[string]any)
	for next := actor; ok && next["act"] != nil; {
		next, ok = next["act"].(map[string]any)
	}
	if present && !ok {
		return nil, tokenep.InvalidRequest.Describe("the token's " + claim + " does not say who acts")
	}
	return actor, nil
}

// foreignActors is actors for a token of somebody else. The names in it are those of its issuer,
// and say so (RFC 8693 §4.1: sub and iss tell an actor): nobody there is mistaken for one of ours.
func foreignActors(t *verify.Token, claim string) (map[string]any, error) {
	actor, err := actors(t, claim)
	if actor == nil || err != nil {
		return nil, err
	}
	return namedActor(actor, t.Issuer)
}

var errNoActor = errors.New("act or may_act has no sub, or that of a client here, or its iss is missing")

// namedActor returns a chain of actors with the issuer at each of them that has none.
func namedActor(actor map[string]any, issuer string) (map[string]any, error) {
	named := maps.Clone(actor)
	if named["iss"] == nil {
		named["iss"] = issuer
	}
	iss, _ := named["iss"].(string)
	sub, _ := named["sub"].(string)
	if iss == "" || sub == "" || strings.HasPrefix(sub, tokenep.ClientSubjectPrefix) {
		return nil, errNoActor
	}
	if next, ok := actor["act"].(map[string]any); ok {
		var err error
		if named["act"], err = namedActor(next, issuer); err != nil {
			return nil, err
		}
	}
	return named, nil
}

// checkMayAct returns what is wrong with the members of the may_act of a policy.
func checkMayAct(members []Claim) error {
	var seen []string
	for _, m := range members {
		if err := tokenep.CheckMayActMember(m.Name, seen); err != nil {
			return err
		}
		seen = append(seen, m.Name)
	}
	return nil
}

// mayAct returns the may_act that the policy gives; nil: none. One with a member that cannot be
// made would let too many act, so that there is no token then.
func (p *Policy) mayAct(t *verify.Token) (map[string]any, error) {
	if len(p.MayAct) == 0 {
		return nil, nil
	}
	given := make(map[string]any, len(p.MayAct))
	for _, m := range p.MayAct {
		value, err := m.Value.Of(t.Claims)
		if err != nil {
			return nil, fmt.Errorf("may_act %s: %w", m.Name, err)
		}
		text, ok := value.(string)
		if !ok || text == "" {
			return nil, fmt.Errorf("may_act %s: %w", m.Name, errNoText)
		}
		if err := state.CheckSubject(text); err != nil {
			return nil, fmt.Errorf("may_act %s: %w", m.Name, err)
		}
		given[m.Name] = text
	}
	return given, nil
}

var errNoText = errors.New("the value is no text")

// original returns who a token of another issuer is about, in the words of that.
func original(t *verify.Token) map[string]any {
	return map[string]any{"sub": t.Subject, "iss": t.Issuer}
}
