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

// known reports whether a client may have what it asks for without the user being asked. It asks in
// any case if the client wants that, or could be any program (RFC 8252 §8.6): one without a secret,
// whose answer goes where others can listen too, or one that registered itself.
func (e Authorize) known(ctx context.Context, client *tokenep.Client, q *authorizationRequest, user tokenep.User) (permission, error) {
	switch {
	case q.asks("consent"), client.SelfRegistered:
		return unknown, nil
	case client.SkipConsent:
		return skipped, nil
	case client.Public() && !strings.HasPrefix(q.RedirectURI, "https:"):
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
