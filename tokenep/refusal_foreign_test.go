package tokenep_test

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/policy"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// withJWTs lets the client app, and no other, use each JWT of an issuer elsewhere once.
func (m *refusals) withJWTs(t *rapid.T, c *server.Config) {
	m.elsewhere = verifytest.New("https://idp.example", "https://as.example")
	m.elsewhere.Now = m.clock.Now
	sub, err := policy.CompileValue("claims.sub")
	if err != nil {
		t.Fatal(err)
	}
	trusted := m.elsewhere.Trust()
	c.Subjects = append(c.Subjects, &subject.Source{Name: trusted.Name, Issuer: &trusted, Policies: []subject.Policy{{
		Name: "once", Once: true, Subject: sub, Clients: []string{"app"}, Scope: verify.Scope{"read"}, Audience: []string{"orders"},
		Grants: []string{grant.TokenExchangeType, grant.JWTBearerType},
	}}})
}

// addJWT adds a JWT that is good for one access token, by either grant: as a subject token, or as
// an assertion.
func (m *refusals) addJWT(t *rapid.T) {
	c := &credential{grant: grant.TokenExchangeType, parameter: "subject_token", tokenType: grant.JWTType, good: true, id: rand.Text()}
	if rapid.Bool().Draw(t, "as an assertion") {
		c.grant, c.parameter = grant.JWTBearerType, "assertion"
	}
	c.expires = m.clock.Now().Add(time.Minute).Truncate(time.Second)
	c.text = m.elsewhere.Sign(verifytest.Claims{"jti": c.id, "exp": c.expires.Unix()})
	m.add(t, c, nil)
}

// lookAtJWT asks whether a JWT was used.
func (m *refusals) lookAtJWT(ctx context.Context, c *credential) error {
	used, err := m.seen.Has(ctx, "token of "+m.elsewhere.Name, c.id)
	switch {
	case err != nil:
		return err
	case used != c.spent:
		return errors.New("the state says something else than the answer did")
	case used || !m.clock.Now().Before(c.expires):
		return errors.New("used, or expired")
	}
	return nil
}
