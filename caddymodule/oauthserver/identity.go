package oauthserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// defaultIdentity is what Caddy's own authentication sets, such as basic_auth.
const defaultIdentity = "{http.auth.user.id}"

// RefreshTokens are the rules for refresh tokens (RFC 6749 §6).
type RefreshTokens struct {
	// Whose refresh tokens are rotated: "public", those of public clients (RFC 9700 §4.14.2);
	// "always"; or "never". Confidential clients prove who they are with each refresh. A change
	// signs nobody out. Default: public.
	Rotation string `json:"rotation,omitempty"`

	// How long a refresh token that was rotated gets its successor again, because clients lose
	// answers and have several windows open. After that its use ends all that came of the sign-in.
	// At most 1h; negative for not at all. Default: 1m.
	Grace caddy.Duration `json:"grace,omitempty"`

	// How long a refresh token is good from one use to the next. Default: 14d.
	Idle caddy.Duration `json:"idle,omitempty"`

	// How long refresh tokens are good after the user allowed it, however often they are used.
	// Default: 90d.
	Absolute caddy.Duration `json:"absolute,omitempty"`
}

func (t *RefreshTokens) config() server.RefreshTokens {
	if t == nil {
		return server.RefreshTokens{}
	}
	return server.RefreshTokens{
		Rotation: grant.Rotation(t.Rotation), Grace: time.Duration(t.Grace), Idle: time.Duration(t.Idle), Absolute: time.Duration(t.Absolute),
	}
}

// check returns what is wrong with the rules.
func (t *RefreshTokens) check() error {
	if err := t.config().Validate(); err != nil {
		return fmt.Errorf("refresh_tokens: %w", err)
	}
	return nil
}

// checkRefreshLife refuses a life that no rules can have.
func checkRefreshLife(life time.Duration) error {
	if life < time.Minute {
		return errors.New("it must be a minute at least")
	}
	return nil
}

var errGraceZero = errors.New("write off for none")

// identity returns the placeholder that says who a user is, or "" if no user can allow anything: it
// is the default one as soon as a client may use the authorization code grant, unless this server
// signs people in.
func (s *AuthorizationServer) identity() (placeholder string, insecure bool) {
	switch {
	case s.InsecureIdentity != "":
		return s.InsecureIdentity, true
	case s.Identity != "":
		return s.Identity, false
	case s.UsersRaw != nil:
	case s.Registration.asksPeople(),
		slices.ContainsFunc(s.Clients, func(c *tokenep.Client) bool {
			return c != nil && (c.May(grant.AuthorizationCodeType) || c.May(grant.DeviceCodeType))
		}):
		return defaultIdentity, false
	}
	return "", false
}

// provenPlaceholders begin with these: what is in them was put there by this process, and not by
// whoever sent the request. A certificate must have been verified as well.
var provenPlaceholders = []string{"http.auth.user.", "http.vars.", certificate}

const certificate = "http.request.tls.client."

// checkIdentity returns what is wrong with the placeholder.
func (s *AuthorizationServer) checkIdentity() error {
	if s.Identity != "" && s.InsecureIdentity != "" {
		return errors.New("identity and insecure_identity exclude each other")
	}
	placeholder, insecure := s.identity()
	if placeholder == "" {
		return nil
	}
	if err := checkProven(placeholder, insecure); err != nil {
		return fmt.Errorf("identity %s: %w", placeholder, err)
	}
	return nil
}

// checkProven returns what is wrong with a placeholder that says something about a user. insecure
// allows what the sender of a request can write.
func checkProven(placeholder string, insecure bool) error {
	name, found := strings.CutPrefix(placeholder, "{")
	name, closed := strings.CutSuffix(name, "}")
	proven := slices.ContainsFunc(provenPlaceholders, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	switch {
	case !found || !closed || strings.ContainsAny(name, "{}"):
		return fmt.Errorf("it must be one placeholder, such as %s", defaultIdentity)
	case strings.HasPrefix(name, "http.auth.candidate."):
		return errors.New("that is what somebody claims, and failed to prove")
	case !strings.HasPrefix(name, "http."):
		return errors.New("it must begin with http. and be a placeholder of the request")
	case !proven && !insecure:
		return errors.New("whoever sends the request could write that; set a variable where it is proven, such as {http.vars.user}, " +
			"or write insecure_identity if nobody can reach this server but through a proxy that sets it")
	}
	return nil
}

// user returns the function that finds out who sent a request; nil: nobody can allow anything.
func (s *AuthorizationServer) user() server.User {
	placeholder, _ := s.identity()
	if placeholder == "" {
		return nil
	}
	ofCertificate := strings.HasPrefix(placeholder, "{"+certificate)
	return func(r *http.Request) (tokenep.User, error) {
		verified := r.TLS != nil && len(r.TLS.VerifiedChains) > 0
		if ofCertificate && !verified {
			return tokenep.User{}, errors.New("no client certificate was verified")
		}
		replacer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		if !ok {
			return tokenep.User{}, errors.New("the request has no placeholders")
		}
		subject, err := replacer.ReplaceOrErr(placeholder, true, true)
		user := tokenep.User{Subject: subject}
		if err == nil {
			s.User.read(source{replacer, verified}, &user, time.Now())
		}
		return user, err
	}
}
