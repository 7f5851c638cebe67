package endpoint

import (
	"context"
	"errors"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// permission says why a code is given.
type permission uint8

const (
	unknown    permission = iota // it is not: the user has to be asked
	skipped                      // the client need not ask
	remembered                   // the user has allowed it before
	answered                     // the user has just allowed it
)

// couldBeAnybody reports whether a request may come from any program, whatever was allowed to this
// client before (RFC 8252 §8.6): the client registered itself, or it has no secret, and its answer
// goes where others can listen too.
func couldBeAnybody(client *tokenep.Client, q *authorizationRequest) bool {
	return client.SelfRegistered || client.Public() && !strings.HasPrefix(q.RedirectURI, "https:")
}

// known reports whether a client may have what it asks for without the user being asked. It asks in
// any case if the client wants that, or could be anybody.
func (e Authorize) known(ctx context.Context, client *tokenep.Client, q *authorizationRequest, user tokenep.User) (permission, error) {
	switch {
	case q.asks("consent"):
		return unknown, nil
	case client.SkipConsent && !client.SelfRegistered:
		return skipped, nil
	case couldBeAnybody(client, q):
		return unknown, nil
	}
	c, err := e.Consents.Find(ctx, user.Subject, client.ID, client.RegistrationID)
	switch {
	case errors.Is(err, state.ErrRefused):
		return unknown, nil
	case err != nil:
		return unknown, err
	case !c.Includes(state.Allowed{Scope: q.Scope, Audience: q.Audience}):
		return unknown, nil
	}
	return remembered, nil
}

// remember notes a code that was made and not given yet, so that revoking the consent of the user
// (RFC 6749 §10.2) ends it.
func (e Authorize) remember(ctx context.Context, client *tokenep.Client, c state.Code, why permission) error {
	refreshes := client.May(grant.RefreshTokenType)
	switch why {
	case answered:
		return e.Consents.Allow(ctx, c, refreshes)
	case remembered:
		err := e.Consents.Repeat(ctx, c, refreshes)
		if errors.Is(err, state.ErrRefused) {
			return tokenep.ConsentRequired.Describe("the user has to be asked").Because(err)
		}
		return err
	default:
		return nil
	}
}
