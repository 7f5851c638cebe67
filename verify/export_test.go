package verify

import (
	"crypto"
	"net"
	"net/netip"
	"time"
)

// VerifySignature is for tests with signatures that no issuer would make.
func VerifySignature(name string, key crypto.PublicKey, input string, signature []byte) error {
	a, err := findAlgorithm(name)
	if err != nil {
		return err
	}
	return a.verify(key, input, signature)
}

// BearerChallenge returns the challenge for e of a guard with this realm.
func BearerChallenge(e *Error, realm string) string {
	return e.explain(Challenge{Scheme: bearer, Parameters: []Parameter{{"realm", realm}}}).String()
}

// Holds reports whether c has the token raw.
func (c *Cache) Holds(raw string) bool { return c.find(raw) != nil }

// Clients returns how many clients the shards count facts of.
func (c *Cache) Clients() (n int) {
	for i := range c.shards {
		n += len(c.shards[i].clients)
	}
	return n
}

// MostBytes returns how many bytes of memory c may have.
func (c *Cache) MostBytes() (most int) {
	for i := range c.shards {
		most += c.shards[i].most
	}
	return most
}

// ParseObject is the strict JSON reader.
var ParseObject = parseObject

// Settle returns when no fetch is under way.
func (u *URLKeys) Settle() {
	u.mu.Lock()
	done := u.flight
	u.mu.Unlock()
	if done != nil {
		<-done
	}
}

// Due returns at what age the version that is known is fetched again.
func (u *URLKeys) Due() time.Duration { return u.current.Load().due }

// SetTimeout changes how long a fetch may take.
func (u *URLKeys) SetTimeout(d time.Duration) { u.timeout = d }

// SetResolver makes names be resolved by r.
func (o *URLKeysOptions) SetResolver(r *net.Resolver) { o.resolver = r }

// FetchSpacing is the least time from one fetch to the next.
const FetchSpacing = fetchSpacing

// MaxFetched is the size of the largest key set.
const MaxFetched = maxFetched

// IsSpecialUse reports whether nothing is fetched from an address that is not named.
func IsSpecialUse(text string) bool { return isSpecialUse(netip.MustParseAddr(text)) }
