package state

import (
	"context"
	"errors"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// kindAPITokenWatch is one record, which says until when a node looks through the API tokens: of
// several nodes one does.
const (
	kindAPITokenWatch = "api_token_watch"
	watchID           = "watch"
)

// watch is that record.
type watch struct {
	Until time.Time `json:"until"`
}

// WatchEvery is how often API tokens are to be looked through for those that expire. A token is
// kept for longer after its end, so that none is missed.
const WatchEvery = keptExpired / 4

// reminders are how long before the end of a token somebody is reminded.
var reminders = []time.Duration{60 * 24 * time.Hour, 30 * 24 * time.Hour, 7 * 24 * time.Hour, 24 * time.Hour, 0}

// reminder returns how many of the reminders are due when so much of a life is left.
func reminder(left time.Duration) int {
	n := 0
	for n < len(reminders) && left <= reminders[n] {
		n++
	}
	return n
}

// Watch tells of the tokens that expire soon, or have expired, each of them once. It looks through
// all tokens, unless another node has done so within WatchEvery, in pages, and calls pause between
// two of them; an error of pause ends it.
func (s APITokens) Watch(ctx context.Context, pause func(context.Context) error) error {
	mine := false
	_, err := record.Upsert(ctx, s.Store, kindAPITokenWatch, watchID, func(w *watch, expires *time.Time) (bool, error) {
		now := s.second()
		// A second less, so that whoever asks in time is not a moment early.
		ahead := w.Until.Sub(now)
		if mine = ahead <= time.Second || ahead > WatchEvery; mine {
			w.Until = now.Add(WatchEvery)
			*expires = w.Until.Add(WatchEvery)
		}
		return mine, nil
	})
	if err != nil || !mine {
		return err
	}
	for after := ""; ; {
		page, err := s.Store.List(ctx, kindAPIToken, "", after, store.MaxPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			after = r.ID
			if err := s.remind(ctx, r); err != nil {
				return err
			}
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// remind tells of one token, if that is due. Whoever writes that it was told tells it.
func (s APITokens) remind(ctx context.Context, r store.Record) error {
	t, err := record.Decode[storedAPIToken](r)
	if err != nil {
		return noAPIToken(r.ID, err)
	}
	left := t.Expires.Sub(s.second())
	due := reminder(left)
	if t.abandoned() || t.NoExpiry || !t.Revoked.IsZero() || due <= t.Told {
		return nil
	}
	t.Told = due
	err = record.Swap(ctx, s.Store, r, t, r.Expires)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return nil // it is used or revoked at this moment: the next time
	}
	if err != nil {
		return err
	}
	if due == len(reminders) {
		s.tell(ctx, APITokenEvent{What: APITokenExpired, Token: t.APIToken})
	} else {
		s.tell(ctx, APITokenEvent{What: APITokenExpiring, Token: t.APIToken, Left: left})
	}
	return nil
}
