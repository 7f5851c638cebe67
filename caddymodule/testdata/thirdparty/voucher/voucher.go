// Package voucher is an example of a plugin that brings a grant of its own, with an endpoint.
//
// A client makes a voucher at POST /oauth/vouchers and gives it to a friend, by any means. The
// friend, which is another client, gets one access token for it, with the scope that the maker has
// written on it. That is a grant_type, an option, an endpoint and a kind of record, and no line of
// the packages that it is built on is changed for any of them.
//
//	voucher.go  the grant and the endpoint, which know nothing of Caddy
//	module.go   the same as a module of Caddy
package voucher

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Type is the grant_type.
const Type = "urn:example:params:oauth:grant-type:voucher"

// Grant gives one access token for a voucher.
//
//	grant_type  REQUIRED  urn:example:params:oauth:grant-type:voucher
//	voucher     REQUIRED
//	scope       OPTIONAL  default: what is written on the voucher
type Grant struct {
	Store store.Store
	Now   func() time.Time
	Life  time.Duration // of a voucher
}

// New returns the grant for a server.
func New(s *server.Server, life time.Duration) *Grant {
	return &Grant{Store: s.Config.Store, Now: s.Config.Now, Life: life}
}

// kind is that of the records. Their id is the SHA-256 of the voucher, so that the store has none.
const kind = "voucher"

// voucher is what a record says.
type voucher struct {
	Maker   string       `json:"maker"`
	User    string       `json:"user"`
	Scope   verify.Scope `json:"scope"`
	Expires time.Time    `json:"expires"`
	Spent   bool         `json:"spent,omitempty"`
}

// Type returns the grant_type.
func (*Grant) Type() string { return Type }

// Parameters returns the one that is this grant's own.
func (*Grant) Parameters() []string { return []string{"voucher"} }

// Anonymous returns false: a voucher is redeemed by a client.
func (*Grant) Anonymous(*tokenep.Request) bool { return false }

// RefusalWrites returns 0: a request that is refused leaves the voucher as good as it was.
func (*Grant) RefusalWrites() tokenep.Effects { return 0 }

var errSpent = errors.New("it was used before")

// Authorize looks at the voucher, and changes nothing. Spend is one conditional write of exactly
// the record that was looked at: of all who come with the voucher, one gets the token.
func (g *Grant) Authorize(ctx context.Context, r *tokenep.Request) (*tokenep.Authorization, error) {
	text, err := r.Form.Require("voucher", "voucher is missing")
	if err != nil {
		return nil, err
	}
	record, err := g.Store.Load(ctx, kind, recordID(text))
	if errors.Is(err, store.ErrNotFound) {
		return nil, invalid(err)
	}
	if err != nil {
		return nil, err
	}
	var v voucher
	if err := json.Unmarshal(record.Data, &v); err != nil {
		return nil, err
	}
	switch {
	case v.Spent:
		return nil, invalid(errSpent)
	case !g.Now().Before(v.Expires):
		return nil, tokenep.InvalidGrant.Describe("the voucher has expired")
	}
	return &tokenep.Authorization{
		Subject: v.User,
		Scope:   v.Scope,
		Extra:   map[string]any{"voucher_of": v.Maker},
		Spend: func(ctx context.Context) (none tokenep.RefreshToken, err error) {
			return none, g.spend(ctx, record, v)
		},
	}, nil
}

func (g *Grant) spend(ctx context.Context, record store.Record, v voucher) error {
	v.Spent = true
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	err = g.Store.Swap(ctx, record, store.Record{Kind: kind, ID: record.ID, Data: data, Expires: record.Expires})
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return state.ErrChanged // somebody was faster: Authorize looks again
	}
	return err
}

// invalid is the same answer for a voucher that was used, and for one that never was.
func invalid(cause error) error {
	return tokenep.InvalidGrant.Describe("the voucher is not valid").Because(cause)
}

func recordID(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Endpoint returns the endpoint at which a client makes a voucher.
//
//	voucher_user   REQUIRED  for whom the voucher speaks
//	voucher_scope  OPTIONAL  default: the client's default scope
//
// The answer has voucher and expires_in.
func (g *Grant) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: "vouchers", Path: "/oauth/vouchers", Member: "voucher_endpoint",
		Methods: []string{http.MethodPost}, Callers: tokenep.ConfidentialClients,
		Parameters: []string{"voucher_user", "voucher_scope"},
		Call:       g.create,
	}
}

func (g *Grant) create(ctx context.Context, r *tokenep.Request) (any, error) {
	user, err := r.Form.Require("voucher_user", "voucher_user is missing")
	if err != nil {
		return nil, err
	}
	scope := r.Client.ImpliedScope()
	if text := r.Form.Get("voucher_scope"); text != "" {
		if scope, err = verify.ParseScope(text); err != nil || !r.Client.Scope.Includes(scope) {
			return nil, tokenep.InvalidScope.Describe("the client may not write this scope on a voucher").Because(err)
		}
	}
	text := rand.Text()
	v := voucher{Maker: r.Client.ID, User: user, Scope: scope, Expires: g.Now().Add(g.Life)}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if err := g.Store.Insert(ctx, store.Record{Kind: kind, ID: recordID(text), Data: data, Expires: v.Expires}); err != nil {
		return nil, err
	}
	r.Outcome.Event = "voucher made"
	return map[string]any{"voucher": text, "expires_in": int64(g.Life / time.Second)}, nil
}
