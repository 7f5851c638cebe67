package state_test

import (
	"context"
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

// exchange is what a token endpoint does with an API token: Check, and then Use.
func exchange(ctx context.Context, s state.APITokens, token string) (state.APIToken, error) {
	t, version, err := s.Check(ctx, token)
	if err != nil {
		return t, err
	}
	s.Use(ctx, version)
	return t, nil
}

// always is a TokenLife that does not change.
func always(life time.Duration) func() time.Duration { return func() time.Duration { return life } }
