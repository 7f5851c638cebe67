package state_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/registry"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// issuer is all of the state of a server over one store.
type issuer struct {
	codes    state.Codes
	families state.Families
	devices  state.Devices
	seen     state.Seen
	browsers state.Sessions
	tokens   state.APITokens
	clients  registry.Registry
	log      *state.Revocations
	set      *verify.Revocations
	now      func() time.Time
}

// accessLife is how long the access tokens of an issuer live.
const accessLife = 10 * time.Minute

// newIssuer returns an issuer whose defaults are those of production, but for the grace: minutes,
// so that no machine is too slow to come again within it.
func newIssuer(s store.Store, now func() time.Time) *issuer {
	i := &issuer{set: new(verify.Revocations), now: now}
	i.log = state.NewRevocations(s, i.set, now, slog.New(slog.DiscardHandler))
	i.families = state.Families{Store: s, Revocations: i.log, MAC: testMAC(), Grace: minutes(5), TokenLife: always(accessLife), Now: now}
	i.codes = state.Codes{Store: s, Families: i.families, Now: now}
	i.devices = state.Devices{Store: s, Families: i.families, Now: now}
	i.seen = state.Seen{Store: s, Now: now}
	i.browsers = state.Sessions{Store: s, Now: now}
	i.tokens = state.APITokens{Store: s, Revocations: i.log, Prefix: "demo", MaxAge: day(1), TokenLife: always(accessLife), Now: now}
	i.clients = registry.Registry{Store: s, Revocations: i.log, TokenLife: always(accessLife), Now: now}
	return i
}

// signIn is a user signing in at a client: it returns the code that is in the redirect.
func (i *issuer) signIn(ctx context.Context, user string) (code string, made state.Code, err error) {
	a := aCode()
	a.Subject = user
	return i.codes.Issue(ctx, a)
}

// redeem is what a token endpoint does with a code of a client that will refresh. It returns the
// refresh token.
func (i *issuer) redeem(ctx context.Context, code string) (token string, err error) {
	c, version, err := i.codes.Check(ctx, code, anyCode)
	if err != nil {
		return "", err
	}
	token, _, err = i.codes.Redeem(ctx, version, fromCode(c))
	return token, err
}

// refresh is what a token endpoint does with a refresh token.
func (i *issuer) refresh(ctx context.Context, token string) (next string, err error) {
	next, _, err = refresh(ctx, i.families, token, anyone)
	return next, err
}

// revoke ends one access token.
func (i *issuer) revoke(ctx context.Context, jti string) error {
	return i.log.Add(ctx, verify.Revocation{Claim: "jti", Value: jti, Expires: i.now().Add(accessLife)})
}

func (i *issuer) revoked(jti string) bool { return i.set.Revoked(&verify.Token{ID: jti}) }

func (i *issuer) grantRevoked(id string) bool { return i.set.Revoked(accessToken(id)) }

// allowedDevice starts a device that a user allows.
func (i *issuer) allowedDevice(ctx context.Context, user string) (deviceCode string, err error) {
	deviceCode, d, err := i.devices.Start(ctx, state.Device{ClientID: "tv"})
	if err == nil {
		_, err = i.devices.Allow(ctx, d.UserCode, user, nil, state.SignIn{Time: i.now()})
	}
	if err != nil {
		return "", fmt.Errorf("a device: %w", err)
	}
	return deviceCode, nil
}

func billing() tokenep.Client {
	return tokenep.Client{
		ID: "billing", Name: "Billing", GrantTypes: []string{"client_credentials"},
		Scope: verify.Scope{"orders:read"}, Audience: []string{"https://api.example"}, AccessTokenTTL: tokenep.Duration(time.Hour),
	}
}
