package state

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// APITokenPattern returns a regular expression, for secret scanners, of API tokens with a prefix.
func APITokenPattern(prefix string) string {
	return fmt.Sprintf(`\b%s_[0-9A-Za-z]{%d}_[0-9A-Za-z]{%d}\b`, prefix, idLength, secretLength+crcLength)
}

// Recognizes reports whether a text could be an API token, by its form alone: one of ours, that was
// not mistyped, or what a TokenPattern fits if tokens were imported.
func (s APITokens) Recognizes(text string) bool {
	if IsAPIToken(text) {
		return true
	}
	return len(text) <= maxImported && len(s.Imports.kinds()) > 0 &&
		slices.ContainsFunc(s.Patterns, func(p TokenPattern) bool { return p.name(text) != "" })
}

// ErrSlowHash says that the answer takes a slow hash.
var ErrSlowHash = errors.New("a slow hash is needed")

// RevokeLeaked revokes a token that was found where it should not be, if Recognizes knows its form,
// and reports whether it was live. One of whose old secrets is good is live as well. Unless slow is
// set, no slow hash is computed: the error Is ErrSlowHash if one must be.
func (s APITokens) RevokeLeaked(ctx context.Context, token string, slow bool) (revoked bool, err error) {
	if !slow {
		s.Compare = func(context.Context, netip.Addr, []byte, []byte) (bool, error) { return false, ErrSlowHash }
	}
	if !s.Recognizes(token) {
		return false, nil
	}
	_, err = s.RevokeHeld(ctx, token, netip.Addr{}, ReasonLeaked)
	if errors.Is(err, ErrBadAPIToken) {
		return false, nil
	}
	return err == nil, err
}
