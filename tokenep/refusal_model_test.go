package tokenep_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// After a refusal every credential that was good is as good as before, and nothing is written that
// the grant, or a method of client authentication, has not declared. The grants are the real ones.
func TestRefusalChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newRefusals(t)
		for range 3 {
			m.addCode(t)
			m.addDevice(t)
			m.addAPIToken(t)
			m.addJWT(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"a good request": func(t *rapid.T) { m.send(t, "") },
			"a bad request":  func(t *rapid.T) { m.send(t, rapid.SampledFrom(defects).Draw(t, "defect")) },
			"a code":         m.addCode,
			"a device":       m.addDevice,
			"an API token":   m.addAPIToken,
			"a JWT":          m.addJWT,
			"time": func(t *rapid.T) {
				m.clock.Advance(time.Duration(rapid.IntRange(1, 25).Draw(t, "seconds")) * time.Second)
			},
		})
	})
}

// defects are what can be wrong with a request whose credential is good.
var defects = []string{
	"a wrong secret", "another client", "a client without the grant", "a wide scope", "a malformed scope",
	"a foreign target", "a malformed target", "a repeated credential", "a repeated parameter", "a wrong verifier",
}

// credential is something that can be presented, and what the model knows of it.
type credential struct {
	grant, parameter, text string

	good     bool      // a good request with it gets a token
	spent    bool      // a code, a device code or a JWT, once
	userCode string    // of a device that waits for its user; empty: it does not
	expires  time.Time // of a code, a device or a JWT; zero: later than the test
	family   *family

	tokenType string // of a subject token
	id        string // jti of a JWT; empty: it is none
}

// family is the refresh tokens that came of one credential.
type family struct {
	tokens  []*credential
	rotated time.Time
	ended   bool
}

// refusals is a server beside its model.
type refusals struct {
	*server.Server
	handler     http.Handler
	clock       *verifytest.Clock
	writes      *writes
	devices     state.Devices
	rotates     bool // refresh tokens
	credentials []*credential

	asserts bool // the next request authenticates by private_key_jwt, else by client_secret_basic
	keys    map[string]*verifytest.Issuer

	elsewhere *verifytest.Issuer // of JWTs
	seen      state.Seen
}

const (
	verifier = "a-verifier-of-43-characters-at-the-very-least"
	callback = "https://app.example/callback"
)

func newRefusals(t *rapid.T) *refusals {
	m := &refusals{clock: verifytest.NewClock(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)), rotates: rapid.Bool().Draw(t, "rotates")}
	m.writes = &writes{Store: memory.New(memory.Options{Now: m.clock.Now})}
	types := []string{codeType, refreshType, deviceType, grant.TokenExchangeType, grant.JWTBearerType}
	m.keys = make(map[string]*verifytest.Issuer)
	client := func(id string, types ...string) tokenep.Client {
		m.keys[id] = verifytest.New(id, "https://as.example")
		m.keys[id].Now = m.clock.Now
		return tokenep.Client{
			ID: id, Secrets: []tokenep.Secret{{Hash: tokenep.HashSecret(id)}}, GrantTypes: types,
			JWKS: m.keys[id].JWKS(), AuthMethods: []string{tokenep.AuthBasic, tokenep.AuthPrivateKeyJWT},
			Scope: verify.Scope{"read", "write", "all"}, Audience: []string{"orders", "invoices"}, RedirectURIs: []string{callback},
		}
	}
	config := server.Config{
		Issuer: "https://as.example", Store: m.writes, Now: m.clock.Now, Logger: slog.New(slog.DiscardHandler),
		Clients:  []tokenep.Client{client("app", types...), client("other", types...), client("idle")},
		Exchange: server.Exchange{Enabled: true, APITokens: &server.APITokenRules{}},
		User:     func(*http.Request) (tokenep.User, error) { return tokenep.User{Subject: "alice"}, nil },
	}
	if m.rotates {
		config.RefreshTokens.Rotation = grant.RotateAlways
	}
	m.withJWTs(t, &config)
	m.seen = state.Seen{Store: m.writes, Now: m.clock.Now}
	config.Memory = server.NewMemory(m.clock.Now)
	config.Memory.Limiter = nil
	var err error
	if m.Server, err = server.New(config); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	if err := m.Start(ctx); err != nil {
		t.Fatal(err)
	}
	m.devices = state.Devices{Store: m.writes, Families: m.Families, Now: m.clock.Now}
	routes, err := m.Mount(server.Paths{})
	if err != nil {
		t.Fatal(err)
	}
	m.handler = routes.Handler(http.NotFoundHandler())
	return m
}

func (m *refusals) addCode(t *rapid.T) {
	text, _, err := m.Codes.Issue(t.Context(), state.Code{
		ClientID: "app", RedirectURI: callback, Subject: "alice", Scope: verify.Scope{"read"}, Audience: []string{"orders"},
		Challenge: challenge(verifier), ChallengeMethod: grant.ChallengeS256,
	})
	m.add(t, &credential{grant: codeType, parameter: "code", text: text, good: true, expires: m.clock.Now().Add(state.DefaultCodeLife)}, err)
}

func (m *refusals) addDevice(t *rapid.T) {
	text, d, err := m.devices.Start(t.Context(), state.Device{ClientID: "app", Scope: verify.Scope{"read"}, Audience: []string{"orders"}})
	c := &credential{grant: deviceType, parameter: "device_code", text: text, userCode: d.UserCode, expires: m.clock.Now().Add(state.DefaultDeviceLife)}
	if err == nil && !rapid.Bool().Draw(t, "pending") {
		c.userCode = ""
		_, err = m.devices.Allow(t.Context(), d.UserCode, "alice", verify.Scope{"read"}, state.SignIn{Time: m.clock.Now()})
		c.good = true
	}
	m.add(t, c, err)
}

func (m *refusals) addAPIToken(t *rapid.T) {
	text, _, err := m.APITokens.Create(t.Context(), state.APIToken{Owner: "alice", Service: "orders", Scope: verify.Scope{"read"}})
	m.add(t, &credential{grant: grant.TokenExchangeType, parameter: "subject_token", tokenType: server.APITokenType, text: text, good: true}, err)
}

func (m *refusals) add(t *rapid.T, c *credential, err error) {
	if err != nil {
		t.Fatal(err)
	}
	m.credentials = append(m.credentials, c)
}

// send makes a request with one of the credentials, and holds the answer against the model.
func (m *refusals) send(t *rapid.T, defect string) {
	c := rapid.SampledFrom(m.credentials).Draw(t, "credential")
	m.age()
	m.writes.kinds, m.asserts = nil, rapid.Bool().Draw(t, "assertion")
	status, answer := m.post(defect, c)
	refused := status != http.StatusOK
	switch {
	case refused == (c.good && defect == ""):
		t.Fatalf("%s with %q: %d %v, good %v", c.parameter, defect, status, answer, c.good)
	case refused:
		m.refused(t, c, defect)
	default:
		m.issued(t, c, answer)
	}
}

// refused holds a refusal to what it may have written, and every other credential to what it was.
func (m *refusals) refused(t *rapid.T, c *credential, defect string) {
	// Any other defect is found before the grant looks at the credential, or by the grant's own
	// check.
	proven := c.replay() && (defect == "" || defect == "a wide scope" || defect == "a foreign target" && c.grant == refreshType)
	if proven {
		c.family.ended = true
		for _, token := range c.family.tokens {
			token.good = false
		}
	}
	allowed := m.allowed(c.grant, proven, defect)
	for _, kind := range m.writes.kinds {
		if !slices.Contains(allowed, kind) {
			t.Fatalf("%s with %q: a refusal wrote a %s", c.parameter, defect, kind)
		}
	}
	for _, other := range m.credentials {
		if other.userCode != "" {
			if _, err := m.devices.Lookup(t.Context(), other.userCode); (err == nil) != m.clock.Now().Before(other.expires) {
				t.Fatalf("after %s with %q: the user of a device cannot decide: %v", c.parameter, defect, err)
			}
			continue
		}
		if err := m.look(t.Context(), other); (err == nil) != other.good {
			t.Fatalf("after %s with %q: %s is good: %v, want %v: %v", c.parameter, defect, other.parameter, err == nil, other.good, err)
		}
	}
}

// allowed returns the kinds of record that a refusal of the grant may write. An assertion is spent
// only if it was good itself.
func (m *refusals) allowed(grantType string, proven bool, defect string) (kinds []string) {
	var effects tokenep.Effects
	for _, method := range clientauth.All(nil, nil, nil) {
		if used := method.Method() == tokenep.AuthPrivateKeyJWT; used == m.asserts && (!used || defect != "a wrong secret") {
			effects |= method.RefusalWrites()
		}
	}
	offer := grant.Offer{Users: true, Devices: true, TokenExchange: grant.TokenExchange{Subjects: make([]tokenep.SubjectTokens, 1)},
		JWTBearer: grant.JWTBearer{Assertions: make([]tokenep.SubjectTokens, 1)}}
	for _, g := range offer.All() {
		if g.Type() == grantType {
			effects |= g.RefusalWrites()
		}
	}
	if effects&tokenep.EndsFamily != 0 && proven {
		kinds = append(kinds, "family", "revocation", "revocation_head")
	}
	if effects&tokenep.SlowsPolling != 0 {
		kinds = append(kinds, "device")
	}
	if effects&tokenep.SpendsID != 0 {
		kinds = append(kinds, "seen")
	}
	return kinds
}

// issued notes what a token has used up.
func (m *refusals) issued(t *rapid.T, c *credential, answer map[string]any) {
	refresh, _ := answer["refresh_token"].(string)
	if c.id != "" {
		c.good, c.spent = false, true
	}
	switch c.grant {
	case codeType, deviceType:
		c.good, c.spent, c.family = false, true, new(family)
		m.addRefresh(c.family, refresh)
	case refreshType:
		if !m.rotates {
			if refresh != c.text {
				t.Fatal("a refresh token was rotated")
			}
			return
		}
		if newest := c.family.tokens[len(c.family.tokens)-1]; newest != c {
			if newest.text != refresh {
				t.Fatal("a refresh within the grace has another successor")
			}
			return
		}
		c.family.rotated = m.clock.Now()
		m.addRefresh(c.family, refresh)
	}
}

func (m *refusals) addRefresh(f *family, text string) {
	if n := len(f.tokens); n > 1 {
		f.tokens[n-2].good = false // its successor has been used itself
	}
	token := &credential{grant: refreshType, parameter: "refresh_token", text: text, good: true, family: f}
	f.tokens = append(f.tokens, token)
	m.credentials = append(m.credentials, token)
}

// age lets the clock end what it ends: codes after a minute, and the grace of a token that was
// rotated.
func (m *refusals) age() {
	for _, c := range m.credentials {
		switch c.grant {
		case codeType, deviceType, grant.TokenExchangeType, grant.JWTBearerType:
			c.good = c.good && (c.expires.IsZero() || m.clock.Now().Before(c.expires))
		case refreshType:
			if n := len(c.family.tokens); n > 1 && c == c.family.tokens[n-2] && m.clock.Now().Sub(c.family.rotated) > state.DefaultGrace {
				c.good = false
			}
		}
	}
}

// replay reports whether presenting the credential proves that somebody has a copy.
func (c *credential) replay() bool {
	return c.grant == codeType && c.spent || c.grant == refreshType && !c.good && !c.family.ended
}

// look asks the state itself whether a credential is good, and changes nothing.
func (m *refusals) look(ctx context.Context, c *credential) (err error) {
	switch {
	case c.id != "":
		return m.lookAtJWT(ctx, c)
	case c.spent || c.grant == refreshType && !c.good:
		return errors.New("spent")
	case c.grant == codeType:
		_, _, err = m.Codes.Check(ctx, c.text, func(state.Code) error { return nil })
	case c.grant == deviceType:
		_, _, err = m.devices.Check(ctx, c.text, func(state.Device) error { return nil })
	case c.grant == refreshType:
		_, _, err = m.Families.Check(ctx, c.text, func(state.Family) error { return nil })
	default:
		_, _, err = m.APITokens.Check(ctx, c.text, netip.Addr{})
	}
	return err
}
