package state_test

import (
	"context"
	"net/netip"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// redeem is what a token endpoint does with a code: Check, and then Spend.
func redeem(ctx context.Context, s state.Codes, code string, check func(state.Code) error) (state.Code, error) {
	c, version, err := s.Check(ctx, code, check)
	if err != nil {
		return c, err
	}
	return c, s.Spend(ctx, version)
}

// refresh is what a token endpoint does with a refresh token: Check, and then Rotate.
func refresh(ctx context.Context, s state.Families, token string, check func(state.Family) error) (next string, f state.Family, err error) {
	f, version, err := s.Check(ctx, token, check)
	if err != nil {
		return "", f, err
	}
	next, _, err = s.Rotate(ctx, version)
	return next, f, err
}

// use is what a token endpoint does with a refresh token that it does not rotate: Check, and then
// Use.
func use(ctx context.Context, s state.Families, token string) (next string, err error) {
	_, version, err := s.Check(ctx, token, func(state.Family) error { return nil })
	if err != nil {
		return "", err
	}
	next, _, err = s.Use(ctx, version)
	return next, err
}

// poll is what a token endpoint does with a device code: Check, and then Spend.
func poll(ctx context.Context, s state.Devices, code string, check func(state.Device) error) (state.Device, error) {
	d, version, err := s.Check(ctx, code, check)
	if err != nil {
		return d, err
	}
	return d, s.Spend(ctx, version)
}

// exchange is what a token endpoint does with an API token: CheckUse, and then Use.
func exchange(ctx context.Context, s state.APITokens, token string) (state.APIToken, error) {
	return exchangeFrom(ctx, s, token, home)
}

// home is where tokens are used in tests.
var home = netip.MustParseAddr("192.0.2.1")

// exchangeFrom is exchange from an address.
func exchangeFrom(ctx context.Context, s state.APITokens, token string, from netip.Addr) (state.APIToken, error) {
	t, version, err := s.CheckUse(ctx, token, from)
	if err != nil {
		return t, err
	}
	return t, s.Use(ctx, version, from)
}

// always is a TokenLife that does not change.
func always(life time.Duration) func() time.Duration { return func() time.Duration { return life } }
