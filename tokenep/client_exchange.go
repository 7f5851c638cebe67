package tokenep

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// mayActMembers are the claims that tell an actor here (RFC 8693 §4.4).
var mayActMembers = []string{"sub", "client_id", "iss"}

// CheckMayActMember refuses a member of a may_act that says nothing of an actor here, or that is
// among those that were given before.
func CheckMayActMember(name string, before []string) error {
	switch {
	case !slices.Contains(mayActMembers, name):
		return fmt.Errorf("may_act: %.100q tells no actor; there are %s", name, strings.Join(mayActMembers, ", "))
	case slices.Contains(before, name):
		return fmt.Errorf("may_act: %s is given twice", name)
	}
	return nil
}

// checkParties refuses an entry of may_act_for or actor_from that does not say what it names.
func checkParties(option string, entries []string) error {
	for _, entry := range entries {
		member, value, _ := strings.Cut(entry, "=")
		good := value != ""
		switch member {
		case "iss":
			issuer, one, more := strings.Cut(value, " ")
			good = issuer != "" && (!more || strings.HasPrefix(one, "sub=") && one != "sub=")
		case "sub", "client_id":
		default:
			good = entry == "*"
		}
		if good {
			continue
		}
		right := `iss=<issuer>, "iss=<issuer> sub=<subject>", sub=<subject> or client_id=<id>`
		switch {
		case strings.Contains(entry, "://") && member == entry:
			right = "iss=" + entry + " for an issuer"
		case member == entry && entry != "":
			right = fmt.Sprintf(`sub=%s for a subject of this server, "iss=<issuer> sub=%[1]s" for one of another issuer, or client_id=%[1]s for a client`, entry)
		}
		return fmt.Errorf("%s %.200q: it must say what it names; write %.500s", option, entry, right)
	}
	return nil
}

// validateExchange checks what a client may do by token exchange (RFC 8693).
func (c *Client) validateExchange() error {
	var seen []string
	for _, member := range c.MayAct {
		name, value, _ := strings.Cut(member, "=")
		if !slices.Contains(mayActMembers, name) || value == "" {
			return fmt.Errorf("may_act %.100q: each must be one of %s, an equals sign and the value, such as client_id=gateway",
				member, strings.Join(mayActMembers, ", "))
		}
		if err := CheckMayActMember(name, seen); err != nil {
			return err
		}
		if err := state.CheckSubject(value); err != nil {
			return fmt.Errorf("may_act %s: %w", name, err)
		}
		seen = append(seen, name)
	}
	if err := cmp.Or(checkParties("may_act_for", c.MayActFor), checkParties("actor_from", c.ActorFrom)); err != nil {
		return err
	}
	if !FitsToken(nil, c.ExchangeTo) {
		return fmt.Errorf("exchange_to: so many do not fit into a token; %d audiences and %d bytes are the most", maxAudience, maxReach)
	}
	return nil
}

// mayAct returns the may_act of the tokens that are issued to the client; nil: they have none.
func (c *Client) mayAct() map[string]any {
	if c == nil || len(c.MayAct) == 0 {
		return nil
	}
	claim := make(map[string]any, len(c.MayAct))
	for _, member := range c.MayAct {
		name, value, _ := strings.Cut(member, "=")
		claim[name] = value
	}
	return claim
}

// asks returns the resources that the client may ask for by a grant.
func (c *Client) asks(grantType string, targets []string) []string {
	if grantType != TokenExchangeType || len(c.ExchangeTo) == 0 {
		return targets
	}
	return slices.Concat(targets, c.ExchangeTo)
}
