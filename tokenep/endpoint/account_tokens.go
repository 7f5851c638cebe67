package endpoint

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/page"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// AccountTokens is what people do with their API tokens, which are exchanged for access tokens (RFC
// 8693), on a page and over JSON. The zero value is for a server that has none.
type AccountTokens struct {
	Tokens   *state.APITokens
	Services []page.Service // for which people can make some; none: they can make none
	MaxAge   time.Duration
	Never    bool // they may have no end

	Type      string // the subject_token_type (RFC 8693 §2.1)
	Anonymous bool   // they are exchanged without a client
}

// freshFor is how long after a sign-in a person may make a secret.
const freshFor = 15 * time.Minute

// fresh reports whether a sign-in is young enough to make a secret by.
func fresh(signedIn, now time.Time) bool {
	return !signedIn.IsZero() && now.Sub(signedIn) <= freshFor
}

const day = 24 * time.Hour

func newPageID() string { return rand.Text() }

// mayMake reports whether a person can make an API token here at all: it must be possible to tell
// when that person signed in.
func (e Account) mayMake(user tokenep.User) bool {
	return e.Tokens.Tokens != nil && len(e.Tokens.Services) > 0 && e.Tokens.MaxAge >= day && (e.Sessions != nil || !user.SignIn.Time.IsZero())
}

// of returns a token of an owner. That of another is none.
func (a AccountTokens) of(ctx context.Context, owner, id string) (t state.APIToken, err error) {
	if a.Tokens == nil {
		return t, store.ErrNotFound
	}
	t, err = a.Tokens.Load(ctx, id)
	if err == nil && t.Owner != owner {
		err = fmt.Errorf("the API token is of another owner: %w", store.ErrNotFound)
	}
	return t, err
}

// revoke ends a token of an owner.
func (a AccountTokens) revoke(ctx context.Context, owner, id string) error {
	t, err := a.of(ctx, owner, id)
	switch {
	case err != nil:
		return err
	case !t.Revoked.IsZero():
		return store.ErrNotFound
	}
	return a.Tokens.Revoke(ctx, id, "")
}

// roll gives a token of an owner a new secret.
func (a AccountTokens) roll(ctx context.Context, owner, id string, overlap time.Duration) (text string, t state.APIToken, err error) {
	if _, err := a.of(ctx, owner, id); err != nil {
		return "", t, err
	}
	return a.Tokens.Roll(ctx, id, overlap)
}

// all returns the tokens of an owner: those that are good first, by risk, and then the youngest.
func (a AccountTokens) all(ctx context.Context, owner string, now time.Time) (all []state.APIToken, err error) {
	if a.Tokens == nil {
		return nil, nil
	}
	for after := ""; ; {
		tokens, err := a.Tokens.List(ctx, owner, after, store.MaxPage)
		if err != nil {
			return nil, err
		}
		if len(tokens) == 0 {
			break
		}
		all, after = append(all, tokens...), tokens[len(tokens)-1].ID
	}
	order := []string{riskUnused, riskForever, riskIdle, ""}
	slices.SortStableFunc(all, func(x, y state.APIToken) int {
		shownX, shownY := showToken(&x, now), showToken(&y, now)
		return cmp.Or(
			cmp.Compare(min(1, len(shownX.Over)), min(1, len(shownY.Over))),
			cmp.Compare(slices.Index(order, shownX.Risk), slices.Index(order, shownY.Risk)),
			y.Created.Compare(x.Created),
		)
	})
	return all, nil
}

// unusedFor is after how long a token that is good and not used is a risk.
const unusedFor = 90 * day

// The risks, the greatest first.
const (
	riskUnused  = "unused" // never
	riskForever = "forever"
	riskIdle    = "idle"
)

// list returns the tokens of an owner as the page shows them.
func (a AccountTokens) list(ctx context.Context, owner string, now time.Time) ([]page.Token, error) {
	tokens, err := a.all(ctx, owner, now)
	var shown []page.Token
	for i := range tokens {
		shown = append(shown, showToken(&tokens[i], now))
	}
	return shown, err
}

// showToken returns what the page shows of a token.
func showToken(t *state.APIToken, now time.Time) page.Token {
	p := page.Token{
		ID: t.ID, Name: t.Name, Note: t.Note, Service: t.Service, Scope: t.Scope, Created: t.Created, Expires: t.Expires,
		LastUsed: t.LastUsed, Uses: t.Uses, OldUntil: t.OldUntil, Reason: t.Reason,
		AllowFrom: addresses(t.AllowFrom), DenyFrom: addresses(t.DenyFrom),
	}
	if t.NoExpiry {
		p.Expires = time.Time{}
	}
	if !t.Rate.IsZero() {
		p.Rate = t.Rate.String()
	}
	if !t.Quota.IsZero() {
		p.Quota = t.Quota.String()
	}
	if t.NotBefore.After(now) {
		p.NotBefore = t.NotBefore
	}
	if t.LastAddress.IsValid() {
		p.From = t.LastAddress.String()
	}
	if !p.OldUntil.After(now) {
		p.OldUntil = time.Time{}
	}
	made := t.Created
	if t.Rolled.After(made) {
		made = t.Rolled
	}
	switch {
	case !t.Revoked.IsZero():
		p.Over = "revoked"
	case t.Expired(now):
		p.Over = "expired"
	case t.LastUsed.IsZero() && now.Sub(made) > day:
		p.Risk = riskUnused
	case t.NoExpiry:
		p.Risk = riskForever
	case !t.LastUsed.IsZero() && now.Sub(t.LastUsed) > unusedFor:
		p.Risk = riskIdle
	}
	return p
}

// signedInAgain is the text for somebody who was sent to sign in for what is to be repeated now.
const signedInAgain = "account.again"

// signInAgain sends the person to sign in, and back with that text.
func (e Account) signInAgain(r *http.Request, v *visit) error {
	said, err := e.notice(v, r, signedInAgain, pageLife)
	if err != nil {
		return err
	}
	return e.signInFirst(r, v, url.Values{said.Name: {said.Value}}.Encode())
}

// roll replaces the secret of a token, and shows the new one.
func (e Account) roll(r *http.Request, v *visit, id string) error {
	if !fresh(v.user.SignIn.Time, e.Now()) {
		return e.signInAgain(r, v)
	}
	overlap, err := tokenep.ParseDuration(cmp.Or(v.form.Get("grace"), "0s"))
	if err != nil {
		return tokenep.InvalidRequest.Describe("the page was answered with no time that it has").Because(err)
	}
	if err := e.once(r, v); err != nil {
		return err
	}
	text, t, err := e.Tokens.roll(r.Context(), v.user.Subject, id, time.Duration(overlap))
	if err != nil {
		return e.done(r, v, "", err)
	}
	return e.showSecret(r, v, text, t, "API token rolled")
}

// showSecret shows the text of a token. It is nowhere else.
func (e Account) showSecret(r *http.Request, v *visit, text string, t state.APIToken, event string) error {
	v.o.Event = event
	v.o.Details = []slog.Attr{slog.String("sub", t.Owner), slog.String("id", t.ID), slog.String("service", t.Service)}
	e.Pages.Show(v.w, r, http.StatusOK, page.NewToken{
		Back: e.to(r, accountName),
		Made: &page.MadeToken{Token: showToken(&t, e.Now()), Secret: text, Curl: e.curl(text)},
	})
	return nil
}

// curl returns a line for a shell by which a token is exchanged (RFC 8693 §2.1).
func (e Account) curl(text string) string {
	issuer, err := url.Parse(e.Issuer)
	if err != nil {
		return ""
	}
	client := ""
	if !e.Tokens.Anonymous {
		client = " -u CLIENT_ID:CLIENT_SECRET"
	}
	return "curl" + client + " " + issuer.Scheme + "://" + issuer.Host + e.PathOf(tokenep.TokenEndpointName) +
		" \\\n  -d grant_type=" + grant.TokenExchangeType + " \\\n  -d subject_token_type=" + e.Tokens.Type +
		" \\\n  -d subject_token=" + text
}

// addresses returns blocks of addresses as people write them.
func addresses[T fmt.Stringer](blocks []T) string {
	texts := make([]string, len(blocks))
	for i, block := range blocks {
		texts[i] = block.String()
	}
	return strings.Join(texts, " ")
}
