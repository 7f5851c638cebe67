package subject_test

import (
	"context"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// A refused exchange spends nothing, whatever it was refused for and however late (RFC 8693
// §2.2.2).
func TestRefusedExchangeSpendsNothing(t *testing.T) {
	github := ci()
	sign := func() string { return github.Sign(job(nil)) }
	t.Run("the actor token is used meanwhile", func(t *testing.T) {
		once := deploy(t)
		once.Once = true
		f, h := hook(t, trusts(github, once), agents)
		ask := func(subject, actor string) request {
			return tokeneptest.Exchange(subject, grant.JWTType, "actor_token", actor, "actor_token_type", grant.JWTType).By("billing")
		}
		first, second, actor := sign(), sign(), sign()
		h.before("seen", func() error { f.Granted(t, ask(second, actor)); return nil })
		f.Send(t, ask(first, actor)).Refused(t, 400, tokenep.InvalidRequest)
		f.Granted(t, tokeneptest.Exchange(first, grant.JWTType).By("billing"))
	})
	t.Run("the store is away when the family is to start", func(t *testing.T) {
		f, h := hook(t, staying(t, github, func(p *subject.Policy) { p.Once = true }))
		ask := tokeneptest.Exchange(sign(), grant.JWTType).By("billing")
		h.before("family", func() error { return store.ErrUnavailable })
		f.Send(t, ask).Refused(t, 503, tokenep.TemporarilyUnavailable)
		f.Granted(t, ask)
		f.Send(t, ask).Refused(t, 400, tokenep.InvalidRequest)
	})
}

// hooked is a store, and what happens just before a record of some kind is inserted, once.
type hooked struct {
	store.Store
	kind string
	do   func() error
}

func hook(t *testing.T, changes ...tokeneptest.Change) (*tokeneptest.Server, *hooked) {
	t.Helper()
	h := new(hooked)
	return tokeneptest.New(t, append(changes, func(c *server.Config) { h.Store, c.Store = c.Store, h })...), h
}

func (h *hooked) before(kind string, do func() error) { h.kind, h.do = kind, do }

func (h *hooked) Insert(ctx context.Context, r store.Record) error {
	if do := h.do; do != nil && r.Kind == h.kind {
		h.do = nil
		if err := do(); err != nil {
			return err
		}
	}
	return h.Store.Insert(ctx, r)
}
