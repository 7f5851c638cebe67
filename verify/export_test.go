package verify

import "crypto"

// VerifySignature lets tests in with signatures that no issuer would make.
func VerifySignature(name string, key crypto.PublicKey, input string, signature []byte) error {
	a, err := findAlgorithm(name)
	if err != nil {
		return err
	}
	return a.verify(key, input, signature)
}

// BearerChallenge is how a guard that names realm challenges for e.
func BearerChallenge(e *Error, realm string) string {
	return e.explain(Challenge{Scheme: bearer, Parameters: []Parameter{{"realm", realm}}}).String()
}

// Holds reports whether c would know raw.
func (c *Cache) Holds(raw string) bool { return c.find(raw) != nil }

// Undying is how many entries go-cache would never let go.
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

// Clients is how many clients the shards keep count of.
func (c *Cache) Clients() (n int) {
	for i := range c.shards {
		n += len(c.shards[i].clients)
	}
	return n
}

// ParseObject is the strict JSON reader.
var ParseObject = parseObject
