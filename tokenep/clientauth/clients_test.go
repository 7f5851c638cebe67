package clientauth_test

import (
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

const oddSecret = `p%ä:s +w"ö`

// newServer returns a server with clients whose credentials are easily misread.
func newServer(t *testing.T, changes ...tokeneptest.Change) *tokeneptest.Server {
	client := func(id string, secrets ...tokenep.Secret) tokenep.Client {
		return tokenep.Client{ID: id, Secrets: secrets, GrantTypes: []string{cc}}
	}
	secret := func(text string) tokenep.Secret { return tokenep.Secret{Hash: tokenep.HashSecret(text)} }
	expiring := func(text string, expires time.Time) tokenep.Secret {
		return tokenep.Secret{Hash: tokenep.HashSecret(text), Expires: expires}
	}
	bodies := tokeneptest.NewClient("bodies", cc)
	bodies.AuthMethod = tokenep.AuthPost
	return tokeneptest.New(t, append([]tokeneptest.Change{tokeneptest.WithClients(
		bodies,
		client("odd:% id", secret("odd")),
		client("odd", secret(oddSecret)),
		client("two%20readings", secret("x y")),
		client("turning", expiring("old-secret", tokeneptest.Start),
			expiring("this-secret", tokeneptest.Start.Add(time.Hour)), secret("next-secret")),
	)}, changes...)...)
}
