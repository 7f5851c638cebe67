package tokenep_test

import (
	"context"
	"errors"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

const (
	codeType    = grant.AuthorizationCodeType
	refreshType = grant.RefreshTokenType
	deviceType  = "urn:ietf:params:oauth:grant-type:device_code"
)

// trialGrant is as little of a grant as puts a credential of the state behind the pipeline: it
// reads the credential, holds it against the client, and says what spends it.
type trialGrant struct {
	*refusals
	grantType, parameter string
	effects              tokenep.Effects
	check                func(ctx context.Context, r *tokenep.Request, text string) (*tokenep.Authorization, error)
}

func (g trialGrant) Type() string                   { return g.grantType }
func (g trialGrant) Parameters() []string           { return []string{g.parameter, "code_verifier"} }
func (trialGrant) Anonymous(*tokenep.Request) bool  { return false }
func (g trialGrant) RefusalWrites() tokenep.Effects { return g.effects }

func (g trialGrant) Authorize(ctx context.Context, r *tokenep.Request) (*tokenep.Authorization, error) {
	text, err := r.Form.Require(g.parameter, g.parameter+" is missing")
	if err != nil {
		return nil, err
	}
	a, err := g.check(ctx, r, text)
	if errors.Is(err, state.ErrRefused) || errors.Is(err, state.ErrPending) || errors.Is(err, state.ErrSlowDown) {
		err = tokenep.InvalidGrant.Describe("").Because(err)
	}
	return a, err
}

// trials returns the trial grants of the server.
func (m *refusals) trials() (grants []tokenep.Grant) {
	for _, add := range m.Config.Grants {
		g, _ := add(m.Server)
		grants = append(grants, g)
	}
	return grants
}

var errClient = tokenep.InvalidGrant.Describe("it was issued to another client")

func (m *refusals) checkDevice(ctx context.Context, r *tokenep.Request, text string) (*tokenep.Authorization, error) {
	d, version, err := m.devices.Check(ctx, text, func(d state.Device) error {
		if d.ClientID != r.Client.ID {
			return errClient
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f := state.Family{ID: d.Family, ClientID: d.ClientID, Subject: d.Subject, Scope: d.Scope, Audience: d.Audience}
	a := &tokenep.Authorization{Subject: f.Subject, Scope: f.Scope, Audience: f.Audience, GrantID: f.ID}
	a.Spend = func(ctx context.Context) (none tokenep.RefreshToken, err error) {
		if err := m.devices.Spend(ctx, version); err != nil {
			return none, err
		}
		token, _, err := m.Families.Start(ctx, f)
		return tokenep.RefreshToken{Text: token}, err
	}
	return a, nil
}

// writes notes which kinds of record are written.
type writes struct {
	store.Store
	kinds []string
}

func (w *writes) Insert(ctx context.Context, r store.Record) error {
	return w.note(r.Kind, w.Store.Insert(ctx, r))
}

func (w *writes) Swap(ctx context.Context, old, next store.Record) error {
	return w.note(next.Kind, w.Store.Swap(ctx, old, next))
}

func (w *writes) Delete(ctx context.Context, kind, id string) error {
	return w.note(kind, w.Store.Delete(ctx, kind, id))
}

func (w *writes) note(kind string, err error) error {
	if err == nil {
		w.kinds = append(w.kinds, kind)
	}
	return err
}
