package tokenep

import "net/netip"

// Guess returns an attempt of a person who has signed in at a code that somebody else holds, such
// as the one that a device shows (RFC 8628 §5.1). The failures of a person are counted at all
// addresses together, and refuse that person at all of them: whoever moves has no more guesses, and
// nobody else is locked out. Those of an address count as for clients. To have been right makes
// none of them count for less: anybody can have codes of their own.
func (l *Limiter) Guess(r RateLimit, address netip.Addr, person string) *Attempt {
	a := l.Attempt(r, address, person)
	a.sender.network, a.guess = netip.Prefix{}, true
	return a
}

// tooManyOf says what has failed too often.
func (a *Attempt) tooManyOf() string {
	switch {
	case a.person:
		return "too many failed attempts at names and passwords"
	case a.guess:
		return "too many codes that nobody has were entered"
	}
	return "too many failed attempts at client authentication"
}
