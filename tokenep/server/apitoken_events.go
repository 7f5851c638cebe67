package server

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// deniedOften bounds how often it is told that one API token was denied, or limited: whoever has it
// chooses how often it is.
var deniedOften = verify.Rate{N: 1, Per: time.Minute}

// apiTokenEvent tells the log and Config.APITokenEvent what happened to an API token.
func (s *Server) apiTokenEvent(ctx context.Context, e state.APITokenEvent) {
	attrs := []slog.Attr{slog.String("id", e.Token.ID), slog.String("owner", e.Token.Owner), slog.String("service", e.Token.Service)}
	if e.Address.IsValid() {
		attrs = append(attrs, slog.String("client_ip", e.Address.String()))
	}
	if e.Left > 0 {
		attrs = append(attrs, slog.Time("expires", e.Token.Expires))
	}
	switch e.What {
	case state.APITokenDenied, state.APITokenLimited:
		if s.toldLately(e.What, e.Token.ID) {
			return
		}
		s.front.Log.Refused(ctx, slog.LevelInfo, "API token "+e.What, e.Address, append(attrs, slog.String("error", e.Reason))...)
	default:
		if e.Reason != "" {
			attrs = append(attrs, slog.String("reason", e.Reason))
		}
		s.front.Log.Event(ctx, "API token "+eventText(e.What), attrs...)
	}
	if s.Config.APITokenEvent != nil {
		s.Config.APITokenEvent(ctx, e)
	}
}

// toldLately reports whether an event that may come at any rate is left out, and counts it if not.
func (s *Server) toldLately(what, id string) bool {
	return s.Config.Memory.told.Take(what, id, deniedOften) > 0
}

// eventText is the name of an event in a sentence.
func eventText(what string) string {
	if what == state.APITokenMoved {
		return "used from a new address"
	}
	return what
}

// watchEachPage is how long looking through the API tokens rests after each page.
const watchEachPage = 50 * time.Millisecond

// watchFirst is when API tokens are looked through after a start. It is soon, since a configuration
// may be replaced more often than they are looked through; by then all who listen have started.
const watchFirst = 2 * time.Second

// watchAPITokens looks for API tokens that expire, until ctx is done.
func (s *Server) watchAPITokens(ctx context.Context) {
	tokens := s.apiTokens()
	if tokens == nil {
		return
	}
	pause := func(ctx context.Context) error {
		select {
		case <-time.After(watchEachPage):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	timer := time.NewTimer(watchFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(state.WatchEvery)
		if err := verify.Contain(func() error { return tokens.Watch(ctx, pause) }); err != nil && ctx.Err() == nil {
			s.Config.Logger.Error("the API tokens were not looked through for those that expire; the next time it is done", "error", err)
		}
	}
}

// DeniedUse tells Config.APITokenEvent, as often as of exchanges, that a verifier has refused an
// access token for the limits of the API token that it came of, from an address. The refusal is in
// the log already.
func (s *Server) DeniedUse(ctx context.Context, refusal *verify.Error, from netip.Addr) {
	e := state.APITokenEvent{Address: from}
	t := refusal.Token
	if s.Config.APITokenEvent == nil || t == nil || refusal.Limit == nil {
		return
	}
	switch refusal.Code {
	case verify.AccessDenied:
		e.What, e.Reason = state.APITokenDenied, "address"
	case verify.RateLimited:
		e.What, e.Reason = state.APITokenLimited, "rate"
	default:
		return
	}
	e.Token = state.APIToken{ID: refusal.Limit.ID, Owner: t.Subject, Scope: t.Scope}
	if !s.toldLately(e.What, e.Token.ID) {
		s.Config.APITokenEvent(ctx, e)
	}
}
