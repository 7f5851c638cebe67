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

// spendBoth returns what spends the subject token and then the actor token, and once if they are
// the same; nil: nothing is spent.
func spendBoth(subject, actor *tokenep.Authorization) func(context.Context) (tokenep.RefreshToken, error) {
	var spends []func(context.Context) (tokenep.RefreshToken, error)
	for _, a := range []*tokenep.Authorization{subject, actor} {
		if a == actor && a != nil && a.Spends != "" && a.Spends == subject.Spends {
			continue // the same token
		}
		if a != nil && a.Spend != nil {
			spends = append(spends, a.Spend)
		}
	}
	if len(spends) == 0 {
		return nil
	}
	return func(ctx context.Context) (none tokenep.RefreshToken, err error) {
		for _, spend := range spends {
			if _, err := spend(ctx); err != nil {
				return none, err
			}
		}
		return none, nil
	}
}

// earliest returns the earlier bound; a zero time is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
