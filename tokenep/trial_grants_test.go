package tokenep_test

import (
	"context"
	"errors"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

const (
	codeType    = "authorization_code"
	refreshType = "refresh_token"
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

func (m *refusals) checkCode(ctx context.Context, r *tokenep.Request, text string) (*tokenep.Authorization, error) {
	c, version, err := m.codes.Check(ctx, text, func(c state.Code) error {
		switch {
		case c.ClientID != r.Client.ID:
			return errClient
		case c.Challenge != r.Form.Get("code_verifier"):
			return tokenep.InvalidGrant.Describe("the verifier is wrong")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f := state.Family{ID: c.Family, ClientID: c.ClientID, Subject: c.Subject, Scope: c.Scope, Audience: c.Audience}
	return m.starts(f, func(ctx context.Context) error { return m.codes.Spend(ctx, version) }), nil
}

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
	return m.starts(f, func(ctx context.Context) error { return m.devices.Spend(ctx, version) }), nil
}

// starts allows what a family does, which begins when the credential is spent.
func (m *refusals) starts(f state.Family, spend func(context.Context) error) *tokenep.Authorization {
	a := allow(f)
	a.Spend = func(ctx context.Context) (string, error) {
		if err := spend(ctx); err != nil {
			return "", err
		}
		token, _, err := m.families.Start(ctx, f)
		return token, err
	}
	return a
}

func (m *refusals) checkRefresh(ctx context.Context, r *tokenep.Request, text string) (*tokenep.Authorization, error) {
	f, version, err := m.families.Check(ctx, text, func(f state.Family) error {
		if f.ClientID != r.Client.ID {
			return errClient
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	a := allow(f)
	a.Spend = func(ctx context.Context) (string, error) { return m.families.Rotate(ctx, version) }
	return a, nil
}

func allow(f state.Family) *tokenep.Authorization {
	return &tokenep.Authorization{Subject: f.Subject, Scope: f.Scope, Audience: f.Audience, GrantID: f.ID, NotAfter: f.Ends}
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
