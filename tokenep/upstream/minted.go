package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// MintedOptions say what tokens this server makes for an application.
type MintedOptions struct {
	Minter   *tokenep.Minter
	Audience []string      // of the application; required
	TTL      time.Duration // from 10 s to 1 h, never past the exp of the token; default: DefaultTTL

	// Leeway is that of the verifier, which takes tokens for so long after their exp: for one of
	// those a token is good no longer.
	Leeway time.Duration

	// Claims are the claims of the token that go on, beside sub and client_id: act, scope, and any
	// that has no meaning to the server. Default: act and scope.
	Claims []string

	Form    Form // default: as it is
	Entries int  // that are remembered, at most; default: DefaultEntries
}

// The life of a minted token.
const (
	DefaultTTL = time.Minute
	MinTTL     = 10 * time.Second
	MaxTTL     = time.Hour
)

// Validate returns what is wrong with the options, but for the Minter.
func (o MintedOptions) Validate() error {
	if len(o.Audience) == 0 || slices.Contains(o.Audience, "") {
		return errors.New("audience: the name of the application is missing, such as https://orders.internal")
	}
	if o.TTL != 0 {
		if err := CheckTTL(o.TTL); err != nil {
			return fmt.Errorf("ttl: %w", err)
		}
	}
	for _, name := range o.Claims {
		if name == "" || tokenep.IsReservedClaim(name) && !slices.Contains([]string{"sub", "client_id", "act", "scope"}, name) {
			return fmt.Errorf("claims: %q is the server's own, and cannot go on", name)
		}
	}
	return checkEntries(o.Entries)
}

// CheckTTL returns what is wrong with MintedOptions.TTL.
func CheckTTL(d time.Duration) error {
	if d < MinTTL || d > MaxTTL {
		return fmt.Errorf("it must be %s to %s; it is %s", MinTTL, MaxTTL, d)
	}
	return nil
}

func checkEntries(n int) error {
	if n < 0 || n > MaxEntries {
		return fmt.Errorf("cache_entries: the number must be 1 to %d; it is %d", MaxEntries, n)
	}
	return nil
}

// Minted makes a token of this server for each token of this server, and makes another one when
// half of its life is over, or the signing key is another one.
type Minted struct {
	o    MintedOptions
	kept *kept
}

// NewMinted returns a Minted.
func NewMinted(o MintedOptions) (*Minted, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.Claims == nil {
		o.Claims = []string{"act", "scope"}
	}
	return &Minted{o: o, kept: newKept(o.Entries, o.Form, o.Minter.Now)}, nil
}

// Credential finds a token with the audience of the application. All that ends the token that it
// came of ends it too.
func (m *Minted) Credential(logger *slog.Logger) Finder {
	return func(r *http.Request, t *verify.Token, presented string) (c verify.Credential, err error) {
		active, err := m.o.Minter.Keys.Active()
		if err != nil {
			return c, unavailable(err)
		}
		if c, known := m.kept.recall(t, active); known {
			return c, nil
		}
		return m.kept.get(r, t, active, logger, outbound.KeyOf(presented, active.ID), func(context.Context) (obtained, error) {
			now := m.o.Minter.Now()
			claims := m.claims(t, now)
			left := claims.Expires.Sub(now)
			if left <= 0 {
				return obtained{}, errOver
			}
			minted, err := m.o.Minter.Mint(claims)
			return obtained{minted.Token, now.Add(left / 2), minted.ID, []slog.Attr{expiring(claims.Expires)}}, err
		})
	}
}

// errOver is of a token that was let in after its exp and the leeway.
var errOver = &verify.Error{Status: http.StatusUnauthorized, Code: verify.InvalidToken, Description: "the token has expired"}

// claims returns those of the new token (RFC 9068 §2.2). Its lineage is that of an exchanged one.
func (m *Minted) claims(t *verify.Token, now time.Time) *tokenep.Claims {
	leeway := time.Duration(0)
	if !t.Expires.After(now) {
		leeway = m.o.Leeway
	}
	c := &tokenep.Claims{
		Subject: t.Subject, ClientID: t.ClientID, Audience: m.o.Audience, GrantID: t.GrantID, Ancestors: subject.Lineage(t),
		IssuedAt: now, Expires: capped(now.Add(m.o.TTL), t.Expires, leeway), Limits: t.Limits, ChainIssuedAt: t.IssuedAt,
		ChainExpires: date(t, tokenep.ChainExpiresClaim),
	}
	if began := date(t, tokenep.ChainIssuedAtClaim); !began.IsZero() {
		c.ChainIssuedAt = began
	}
	for _, name := range m.o.Claims {
		value, ok := t.Claims[name]
		switch {
		case name == "scope":
			c.Scope = t.Scope
		case name == "act":
			c.Act = t.Actor()
		case ok && !tokenep.IsReservedClaim(name):
			if c.Extra == nil {
				c.Extra = make(map[string]any)
			}
			c.Extra[name] = value
		}
	}
	return c
}

// date returns a claim that is a NumericDate (RFC 7519 §2); zero: there is none.
func date(t *verify.Token, name string) time.Time {
	number, _ := t.Claims[name].(json.Number)
	seconds, err := number.Int64()
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}
