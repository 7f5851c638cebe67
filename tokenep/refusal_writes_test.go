package tokenep_test

import (
	"context"

	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

const (
	codeType    = grant.AuthorizationCodeType
	refreshType = grant.RefreshTokenType
	deviceType  = grant.DeviceCodeType
)

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
