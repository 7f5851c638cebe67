package grant

import (
	"context"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// What a token that is exchanged hands down to the new one (RFC 8693 §2.2.1): what it can be
// revoked by, how it may be used, and what is spent.

// ancestors returns those of the subject token and of the actor token, which are ancestors
// themselves. A credential that lists none, not even itself, is named by its grant and its subject.
func ancestors(subject, actor *tokenep.Authorization) []verify.Ancestor {
	if actor == nil {
		return subject.Ancestors
	}
	acting := actor.Ancestors
	if len(acting) == 0 {
		acting = []verify.Ancestor{{GrantID: actor.GrantID, Subject: actor.Subject}}
	}
	all := slices.Clone(subject.Ancestors)
	for _, a := range acting {
		if !slices.ContainsFunc(all, func(other verify.Ancestor) bool { return covers(other, a) }) {
			all = append(all, a)
		}
	}
	return all
}

// covers reports whether whatever revokes a revokes other too, which is the same and not younger.
// One without iat is as old as the token that is being issued.
func covers(other, a verify.Ancestor) bool {
	if a.IssuedAt.IsZero() {
		other.IssuedAt = time.Time{}
	}
	return other == a
}

// limits returns those of the subject token and of the actor token: the new token has to keep to
// all of them.
func limits(subject, actor *tokenep.Authorization) []verify.Limit {
	if actor == nil || len(actor.Limits) == 0 {
		return subject.Limits
	}
	all := slices.Clone(subject.Limits)
	for i := range actor.Limits {
		if !slices.ContainsFunc(all, func(other verify.Limit) bool { return other.ID == actor.Limits[i].ID }) {
			all = append(all, actor.Limits[i])
		}
	}
	return all
}

// spendBoth has a spend the subject token and the actor token, and one if they are the same. That
// which can be made good again comes first: if the other one is not good any more, neither is used
// up.
func spendBoth(a, subject, actor *tokenep.Authorization) {
	a.Spend, a.Unspend = subject.Spend, subject.Unspend
	switch {
	case actor == nil || actor.Spend == nil || actor.Spends != "" && actor.Spends == subject.Spends:
		return
	case subject.Spend == nil:
		a.Spend, a.Unspend = actor.Spend, actor.Unspend
		return
	}
	first, second := subject, actor
	if first.Unspend == nil && second.Unspend != nil {
		first, second = second, first
	}
	a.Spend = func(ctx context.Context) (none tokenep.RefreshToken, err error) {
		if _, err = first.Spend(ctx); err != nil {
			return none, err
		}
		if _, err = second.Spend(ctx); err != nil && first.Unspend != nil {
			first.Unspend(ctx)
		}
		return none, err
	}
	a.Unspend = func(ctx context.Context) {
		for _, spent := range []*tokenep.Authorization{first, second} {
			if spent.Unspend != nil {
				spent.Unspend(ctx)
			}
		}
	}
}

// earliest returns the earlier bound; a zero time is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
