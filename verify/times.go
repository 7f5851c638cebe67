package verify

import "errors"

var errNoIssueTime = errors.New("iat is missing, without which its life is not known")

// checkExpiry: RFC 7519 §4.1.4, "on or after". A token about which its issuer was asked has none,
// or one that the issuer knows of (RFC 7662 §2.2).
func (s *verification) checkExpiry() *Error {
	if s.token.Expires.IsZero() {
		return nil
	}
	if !s.now.Before(s.token.Expires.Add(s.leeway + s.expired)) {
		return invalid("the token has expired", nil)
	}
	return nil
}

// checkNotBefore: RFC 7519 §4.1.5.
func (s *verification) checkNotBefore() *Error {
	if s.now.Add(s.leeway).Before(s.token.NotBefore) {
		return invalid("the token is not valid yet", nil)
	}
	return nil
}

// checkIssuedAt: RFC 7519 §4.1.6 leaves the use of iat open. A token from the future, or one that
// expired before it was issued, comes from a wrong clock or a forger.
func (s *verification) checkIssuedAt() *Error {
	issued := s.token.IssuedAt
	if s.now.Add(s.leeway).Before(issued) {
		return invalid("the token is not valid yet", nil)
	}
	if !s.token.Expires.IsZero() && issued.After(s.token.Expires) {
		return invalid("the token expires before it was issued", nil)
	}
	return nil
}

// checkLifetime bounds what a stolen token is worth, whatever its issuer thinks.
func (s *verification) checkLifetime() *Error {
	if s.maxLife == 0 {
		return nil
	}
	refusal := invalid("the token lives longer than is accepted here", nil)
	refusal.Option = "max_lifetime"
	switch {
	case s.token.IssuedAt.IsZero():
		refusal.Cause = errNoIssueTime
	case s.token.Expires.IsZero():
		refusal.Cause = errExpires
	case s.token.Expires.Sub(s.token.IssuedAt) <= s.maxLife:
		return nil
	}
	return refusal
}
