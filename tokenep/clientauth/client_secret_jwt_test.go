package clientauth_test

import (
	"crypto"
	"crypto/hmac"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// macSecret is long enough for HS256, and for no other HMAC.
const macSecret = "a secret of thirty-two bytes ...."

// newMAC returns a client that authenticates by an HMAC.
func newMAC(id string, secrets ...string) *asserter {
	a := newAsserter(id)
	a.client.JWKS, a.client.AuthMethod = nil, tokenep.AuthSecretJWT
	for _, secret := range secrets {
		a.client.Secrets = append(a.client.Secrets, tokenep.Secret{Hash: tokenep.HashSecret(secret), Key: []byte(secret)})
	}
	return a
}

// mac signs an assertion with a secret.
func mac(alg string, hash crypto.Hash, secret string) []verifytest.Option {
	forge := verifytest.Signature(func(input string, _ []byte) []byte {
		m := hmac.New(hash.New, []byte(secret))
		m.Write([]byte(input))
		return m.Sum(nil)
	})
	return []verifytest.Option{header("alg", alg), header("kid", nil), forge}
}

// OpenID Connect Core §9 and §10.1, RFC 7518 §3.2: client_secret_jwt.
func TestSecretJWT(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 4)
	plainMAC, two, pinned := newMAC("mac", macSecret), newMAC("two", macSecret, long), newMAC("pinned", long)
	pinned.client.AuthSigningAlg = "HS512"
	either := newAsserter("either")
	either.client.AuthMethods = []string{tokenep.AuthPrivateKeyJWT, tokenep.AuthSecretJWT}
	either.client.Secrets = plainMAC.client.Secrets
	expiring := newMAC("expiring", macSecret)
	robot := newAsserter("robot")
	f := newAssertions(t, plainMAC, two, pinned, either, robot)
	expiring.client.Secrets[0].Expires = f.Clock.Now().Add(time.Minute)
	f = tokeneptest.New(t, tokeneptest.WithClients(plainMAC.client, two.client, pinned.client, either.client, robot.client, expiring.client))
	for _, a := range []*asserter{plainMAC, two, pinned, either, robot, expiring} {
		a.Now = f.Clock.Now
	}
	hs256 := mac("HS256", crypto.SHA256, macSecret)
	refused := func(name string, r request) rule { return refuses(name, r, 401, tokenep.InvalidClient) }
	f.Run(t, []rule{
		grants("HS256", by(plainMAC.assertion(nil, hs256...))),
		grants("with client_id", by(plainMAC.assertion(nil, hs256...), "client_id", "mac")),
		grants("the first of two secrets", by(two.assertion(nil, hs256...))),
		grants("the second", by(two.assertion(nil, mac("HS512", crypto.SHA512, long)...))),
		grants("the registered algorithm", by(pinned.assertion(nil, mac("HS512", crypto.SHA512, long)...))),
		grants("either: a key", by(either.assertion(nil))),
		grants("either: a secret", by(either.assertion(nil, hs256...))),
		grants("a secret that expires later", by(expiring.assertion(nil, hs256...))),

		refused("another algorithm than the registered one", by(pinned.assertion(nil, mac("HS256", crypto.SHA256, long)...))),
		refused("7518 3.2: the secret is shorter than the hash", by(plainMAC.assertion(nil, mac("HS512", crypto.SHA512, macSecret)...))),
		refused("another secret", by(plainMAC.assertion(nil, mac("HS256", crypto.SHA256, long)...))),
		refused("an empty secret", by(plainMAC.assertion(nil, mac("HS256", crypto.SHA256, "")...))),
		refused("the hash of the secret", by(plainMAC.assertion(nil, mac("HS256", crypto.SHA256, tokenep.HashSecret(macSecret))...))),
		refused("a signature of another hash", by(plainMAC.assertion(nil, mac("HS256", crypto.SHA384, macSecret)...))),
		refused("alg in other letters", by(plainMAC.assertion(nil, mac("hs256", crypto.SHA256, macSecret)...))),
		refused("a key of its own", by(plainMAC.assertion(nil))),
		refused("alg none", by(plainMAC.assertion(nil, verifytest.Unsigned()))),
		refused("no jti", by(plainMAC.assertion(claims{"jti": nil}, hs256...))),
		refused("the secret of another client", by(robot.assertion(nil, hs256...))),
		refused("a client of a key, by an HMAC of nothing", by(robot.assertion(nil, mac("HS256", crypto.SHA256, "")...))),
		refused("2.3: its secret by Basic", plain.Basic("mac", macSecret)),
		refused("2.3: its secret in the body", body("mac", macSecret)),
		refused("by its id alone", post("grant_type", cc, "client_id", "mac")),
	})
	f.Clock.Advance(time.Minute)
	f.Run(t, []rule{refused("a secret that has expired", by(expiring.assertion(nil, hs256...)))})

	once := by(plainMAC.assertion(claims{"jti": "once"}, hs256...))
	f.Granted(t, once)
	f.Send(t, once).Refused(t, 401, tokenep.InvalidClient)

	metadata := string(f.Send(t, tokeneptest.Get("/.well-known/oauth-authorization-server")).Body)
	for _, want := range []string{`"client_secret_jwt"`, `"HS256"`} {
		if !strings.Contains(metadata, want) {
			t.Errorf("the metadata lack %s: %s", want, metadata)
		}
	}
}

// client_secret_jwt needs the secret itself: a client of which there is a hash alone is refused,
// and one that is registered at run time as well.
func TestSecretJWTNeedsTheSecret(t *testing.T) {
	for name, c := range map[string]*asserter{"a hash": newMAC("mac", macSecret), "too short": newMAC("mac", "31 bytes are less than 32 bytes")} {
		if name == "a hash" {
			c.client.Secrets[0].Key = nil
		}
		f := tokeneptest.New(t)
		client := c.client
		if err := f.CompleteClient(&client); err == nil || !strings.Contains(err.Error(), "client_secret_jwt") {
			t.Errorf("%s: %v", name, err)
		}
		f = tokeneptest.New(t, tokeneptest.WithClients(newMAC("other", macSecret).client))
		long := newMAC("long", macSecret).client
		long.AuthSigningAlg = "HS512"
		if err := f.CompleteClient(&long); err == nil || !strings.Contains(err.Error(), "64 bytes") {
			t.Errorf("too short for its algorithm: %v", err)
		}
		if err := f.CompleteClient(&client); err == nil || !strings.Contains(err.Error(), "32 bytes") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
