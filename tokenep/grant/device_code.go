package grant

import (
	"context"
	"errors"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// DeviceCode is the grant of RFC 8628 §3.4: a device without a browser asks again and again until a
// user has allowed or denied it on another one.
//
//	grant_type   REQUIRED  urn:ietf:params:oauth:grant-type:device_code
//	device_code  REQUIRED  from the device authorization endpoint
//	scope        OPTIONAL  default: what the user allowed
//	resource     OPTIONAL  (RFC 8707 §2.2) default: what the user allowed
//
// A client that may use the refresh token grant gets a refresh token as well, as for a code. A code
// that is used again ends nothing: see state.Devices.Spend.
type DeviceCode struct {
	// Devices have the Families that are started with them.
	Devices state.Devices
}

// DeviceCodeType is the grant_type.
const DeviceCodeType = "urn:ietf:params:oauth:grant-type:device_code"

// Type returns urn:ietf:params:oauth:grant-type:device_code.
func (DeviceCode) Type() string { return DeviceCodeType }

// Parameters returns that of RFC 8628 §3.4.
func (DeviceCode) Parameters() []string { return []string{"device_code"} }

// Anonymous returns false: a public client names itself.
func (DeviceCode) Anonymous(*tokenep.Request) bool { return false }

// RefusalWrites returns tokenep.SlowsPolling.
func (DeviceCode) RefusalWrites() tokenep.Effects { return tokenep.SlowsPolling }

// Authorize allows what the user did, once that is so.
func (g DeviceCode) Authorize(ctx context.Context, r *tokenep.Request) (*tokenep.Authorization, error) {
	code, err := r.Form.Require("device_code", "device_code is missing")
	if err != nil {
		return nil, err
	}
	d, version, err := g.Devices.Check(ctx, code, func(d state.Device) error {
		if !issuedTo(r.Client, d.ClientID, d.RegistrationID) {
			return tokenep.InvalidGrant.Describe("the device code was issued to another client")
		}
		return nil
	})
	if err != nil {
		return nil, polled(err)
	}
	f := state.Family{
		ID: d.Family, ClientID: d.ClientID, RegistrationID: d.RegistrationID, Subject: d.Subject,
		Scope: d.Scope, Audience: d.Audience, SignIn: d.SignIn,
	}
	bind(r, &f)
	a := allowed(f)
	a.Allowed = d.Allowed
	a.Spend = func(ctx context.Context) (none tokenep.RefreshToken, err error) {
		if !r.Client.Refreshes(f.Scope) {
			return none, polled(g.Devices.Spend(ctx, version))
		}
		text, f, err := g.Devices.Redeem(ctx, version, f)
		return refreshToken(text, f), polled(err)
	}
	return a, nil
}

// polled returns what a device is told (RFC 8628 §3.5).
func polled(err error) error {
	switch {
	case errors.Is(err, state.ErrPending):
		return tokenep.AuthorizationPending.Describe("the user has not decided yet").Because(err)
	case errors.Is(err, state.ErrSlowDown):
		return tokenep.SlowDown.Describe("the device asks too often; it must wait 5 seconds longer from now on").Because(err)
	case errors.Is(err, state.ErrDenied):
		return tokenep.AccessDenied.Describe("the user does not allow it").Because(err)
	case errors.Is(err, state.ErrExpired):
		return tokenep.ExpiredToken.Describe("the device code has expired").Because(err)
	}
	return refused(err, "the device code is not valid, was used before, or what the user allowed was revoked")
}
