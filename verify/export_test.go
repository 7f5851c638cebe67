package verify

import "crypto"

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

// Undying returns how many entries go-cache would never drop.
func (c *Cache) Undying() (n int) {
	for i := range c.shards {
		for _, item := range c.shards[i].proven.Items() {
			if item.Expiration <= 0 {
				n++
			}
		}
	}
	return n
}

// Clients returns how many clients the shards count facts of.
func (c *Cache) Clients() (n int) {
	for i := range c.shards {
		n += len(c.shards[i].clients)
	}
	return n
}

// ParseObject is the strict JSON reader.
var ParseObject = parseObject
