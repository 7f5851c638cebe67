package endpoint

import (
	"context"
	"net/http"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// DeviceAuthorization is the endpoint of RFC 8628 §3.1: a device asks for a code to wait with, and
// for one that the user types on another device.
//
//	client_id  REQUIRED  unless the client authenticates
//	scope      OPTIONAL  default: the client's default scope
//	resource   OPTIONAL  (RFC 8707 §2.1) default: the client's audience
type DeviceAuthorization struct {
	Front   *tokenep.Front
	Origin  string                       // of the issuer
	PathOf  func(endpoint string) string // where an endpoint of this server is
	Devices state.Devices

	// Audience is what a client without an audience may ask for.
	Audience []string

	// Pace bounds how many codes there are; nil: nothing does. InAll, unless it is 0, is the number
	// from all addresses.
	Pace  *tokenep.Pace
	InAll int
}

// Endpoint returns the row of the table.
func (e DeviceAuthorization) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: deviceAuthorizationName, Path: "/oauth/device_authorization", Member: "device_authorization_endpoint",
		Methods:    []string{http.MethodPost},
		Callers:    tokenep.AnyClient,
		Parameters: []string{"scope", "resource"},
		Call:       e.call,
	}
}

// deviceAnswer is the answer (§3.2).
type deviceAnswer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	ExpiresIn  int64  `json:"expires_in"`
	Interval   int64  `json:"interval"`
}

func (e DeviceAuthorization) call(ctx context.Context, r *tokenep.Request) (any, error) {
	client := r.Client
	if !client.May(grant.DeviceCodeType) {
		return nil, tokenep.UnauthorizedClient.Describe("the client may not use the device code grant")
	}
	d := state.Device{ClientID: client.ID, RegistrationID: client.RegistrationID, Scope: client.ImpliedScope()}
	if text := r.Form.Get("scope"); text != "" {
		scope, err := verify.ParseScope(text)
		if err != nil {
			return nil, tokenep.InvalidScope.Describe("the scope is malformed").Because(err)
		}
		d.Scope = scope
	}
	if !client.Scope.Includes(d.Scope) {
		return nil, tokenep.InvalidScope.Describe("the client may not ask for this scope")
	}
	allowed := client.Audience
	if len(allowed) == 0 {
		allowed = e.Audience
	}
	var err error
	if d.Audience, err = r.Form.ReadResources(allowed); err != nil {
		return nil, err
	}
	if len(d.Audience) == 0 {
		d.Audience = client.Audience
	}
	from := e.Front.Address(r.Request)
	if err := e.Pace.TakeOf(from, e.InAll); err != nil {
		return nil, err
	}
	d.Address = from.String()
	code, made, err := e.Devices.Start(ctx, d)
	if err != nil {
		return nil, err
	}
	at := e.Origin + e.PathOf(deviceName)
	return deviceAnswer{
		DeviceCode: code, UserCode: made.UserCode, URI: at, Complete: redirectTo(at, []parameter{{"user_code", made.UserCode}}),
		ExpiresIn: int64(made.Expires.Sub(made.Created) / time.Second), Interval: int64(made.Interval / time.Second),
	}, nil
}
