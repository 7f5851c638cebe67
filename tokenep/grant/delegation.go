package grant

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// Delegation (RFC 8693 §1.1, §4.1, §4.4): the new token says in act who acts for the subject.
//
// Two questions must both be answered with yes. May the client bring this actor token? It was
// issued to the client, or the client's ActorFrom names where it comes from. May the actor act for
// this subject? The may_act of the subject token says so in every member; only where it has none,
// the client's MayActFor does.

// delegate puts into a who acts for its subject from now on. Without an actor token that is the
// client, if the subject token has a may_act; if it has none, the act of the subject token stays as
// it is (§4.1).
func (g TokenExchange) delegate(r *tokenep.Request, a, actor *tokenep.Authorization) error {
	var acting map[string]any
	switch {
	case actor != nil:
		if err := g.mayBring(r.Client, actor); err != nil {
			return err
		}
		acting = g.identify(actor)
	case a.MayAct == nil:
		return nil
	case r.Client == nil || r.Client.Public():
		return tokenep.InvalidRequest.Describe("the subject token says who may act, and nobody was authenticated")
	default:
		acting = map[string]any{"sub": tokenep.ClientSubjectPrefix + r.Client.ID, "client_id": r.Client.ID, "iss": g.Issuer}
	}
	switch {
	case a.MayAct != nil && !matches(a.MayAct, acting) && !matchesOriginal(a.MayAct, actor):
		return tokenep.InvalidRequest.Describe("the subject token does not let this actor act")
	case a.MayAct == nil && !g.mayActFor(r.Client, a):
		return errNotFor()
	}
	if acting["iss"] == g.Issuer {
		delete(acting, "iss") // it is that of the token
	}
	if a.Act != nil {
		acting["act"] = a.Act
	}
	a.ByMayAct = a.MayAct != nil
	a.Act, a.MayAct = acting, nil
	return nil
}

// actorOf returns what a family remembers of the actor token of the exchange that it comes of.
func actorOf(a *tokenep.Authorization) *state.Actor {
	actor := &state.Actor{
		Subject: a.Acting.Subject, ClientID: a.Acting.ClientID, GrantID: a.Acting.GrantID,
		Allowed: a.Acting.Allowed, ByMayAct: a.ByMayAct,
	}
	if !ours(a.Acting) {
		actor.Issuer = a.Acting.Issuer
	}
	return actor
}

// StillActs asks again what was asked when an actor came in: what the client's policies say may be
// something else by now.
func (g TokenExchange) StillActs(c *tokenep.Client, a *tokenep.Authorization) error {
	if a.Acting == nil {
		return nil
	}
	if err := g.mayBring(c, a.Acting); err != nil {
		return err
	}
	if !a.ByMayAct && !g.mayActFor(c, a) {
		return errNotFor()
	}
	return nil
}

func errNotFor() error {
	return tokenep.InvalidRequest.Describe("the subject token has no may_act, and the client may not act for its subject")
}

// mayBring refuses an actor token that is none of the client's.
func (g TokenExchange) mayBring(c *tokenep.Client, actor *tokenep.Authorization) error {
	switch {
	case c == nil || c.Public():
		return tokenep.InvalidRequest.Describe("an actor token needs a client that is authenticated")
	case actor.Act != nil:
		return tokenep.InvalidRequest.Describe("the actor token is itself one in which somebody acts for another")
	case actor.Descends && actor.ClientID == c.ID, g.names(c.ActorFrom, actor):
		return nil
	}
	return tokenep.InvalidRequest.Describe("the actor token was not issued to this client")
}

// mayActFor reports whether the client's policy lets actors act for the subject.
func (g TokenExchange) mayActFor(c *tokenep.Client, subject *tokenep.Authorization) bool {
	return c != nil && g.names(c.MayActFor, subject)
}

// names reports whether a list (tokenep.Client.MayActFor) names what a token stands for. Names
// without an issuer are those in tokens of this server: another issuer's are never taken for them.
func (g TokenExchange) names(list []string, a *tokenep.Authorization) bool {
	ours := ours(a)
	return slices.ContainsFunc(list, func(entry string) bool {
		issuer, named := strings.CutPrefix(entry, "iss=")
		if !named {
			return entry == "*" || ours && (entry == "sub="+a.Subject || a.ClientID != "" && entry == "client_id="+a.ClientID)
		}
		issuer, one, further := strings.Cut(issuer, " ")
		is := ours && issuer == g.Issuer || !ours && issuer == a.Issuer && issuer != g.Issuer
		return is && (!further || one == "sub="+a.Subject)
	})
}

// ours reports whether what a token stands for has its name from this server.
func ours(a *tokenep.Authorization) bool { return a.Descends || a.Issuer == "" }

// identify returns the claims that tell an actor (§4.1): the names that it has here, wherever its
// token comes from.
func (g TokenExchange) identify(actor *tokenep.Authorization) map[string]any {
	acting := map[string]any{"sub": actor.Subject, "iss": g.Issuer}
	if actor.ClientID != "" {
		acting["client_id"] = actor.ClientID
	}
	return acting
}

// matches reports whether the actor has every member that may_act names (§4.4).
func matches(mayAct, actor map[string]any) bool {
	if len(mayAct) == 0 {
		return false // a claim that names nobody lets nobody act
	}
	for name, want := range mayAct {
		if got, ok := actor[name]; !ok || !equalJSON(got, want) {
			return false
		}
	}
	return true
}

// matchesOriginal is matches for a may_act by which an issuer elsewhere names an actor of its own:
// it names the issuer as well, or it would be one of this server.
func matchesOriginal(mayAct map[string]any, actor *tokenep.Authorization) bool {
	return actor != nil && mayAct["iss"] != nil && matches(mayAct, actor.Original)
}

func equalJSON(a, b any) bool {
	left, err1 := json.Marshal(a)
	right, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(left) == string(right)
}
