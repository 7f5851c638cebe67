package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/keys/seal"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// RefreshTokens are the rules for refresh tokens (RFC 6749 §6). The zero value has the defaults.
type RefreshTokens struct {
	// Rotation says whose are rotated; default: those of public clients.
	Rotation grant.Rotation

	// Grace is how long one that was rotated gets its successor again; 0: state.DefaultGrace;
	// negative: not at all.
	Grace time.Duration

	Idle     time.Duration // from use to use; default: state.DefaultIdle
	Absolute time.Duration // from the user's decision; default: state.DefaultAbsolute
}

// Validate returns what is wrong with the rules.
func (t RefreshTokens) Validate() error {
	if err := t.Rotation.Validate(); err != nil {
		return err
	}
	idle, absolute := t.Idle, t.Absolute
	if idle == 0 {
		idle = state.DefaultIdle
	}
	if absolute == 0 {
		absolute = state.DefaultAbsolute
	}
	switch {
	case idle < time.Minute || absolute < time.Minute:
		return errors.New("they must live for a minute at least")
	case t.Idle > absolute:
		return fmt.Errorf("they cannot be idle for %s when they end after %s", idle, absolute)
	case t.Grace > time.Hour || t.Grace >= min(idle, absolute):
		return fmt.Errorf("a grace of %s is too long: it must be an hour at most, and less than they live", t.Grace)
	}
	return nil
}

// User says which person a request comes from. See endpoint.Authorize.
type User = func(*http.Request) (tokenep.User, error)

// remember puts together what is remembered of users: codes, consents, and families of refresh
// tokens.
func (s *Server) remember() error {
	c := &s.Config
	if err := c.UserClaims.Validate(); err != nil {
		return fmt.Errorf("claims of users: %w", err)
	}
	s.Families = state.Families{
		Store: c.Store, Revocations: s.Revocations, MAC: &c.Memory.refreshMAC, Now: c.Now, TokenLife: s.TokenLife,
		Grace: c.RefreshTokens.Grace, Idle: c.RefreshTokens.Idle, Absolute: c.RefreshTokens.Absolute,
	}
	s.Codes = state.Codes{Store: c.Store, Families: s.Families, Now: c.Now}
	s.Sessions = state.Sessions{Store: c.Store, Idle: c.Sessions.Idle, Absolute: c.Sessions.Absolute, Now: c.Now}
	s.Consents = state.Consents{Store: c.Store, Families: s.Families, Now: c.Now}
	return nil
}

// users returns what keeps the claims of people, for as long as a token of theirs can be good.
func (s *Server) users() state.Users {
	return state.Users{Store: s.Config.Store, Now: s.Config.Now, Life: func() time.Duration {
		return cmp.Or(s.Config.RefreshTokens.Absolute, state.DefaultAbsolute) + s.TokenLife()
	}}
}

// CheckConsentPage returns what is wrong with the address of a page that asks people, whatever the
// issuer is.
func CheckConsentPage(page string) error {
	u, err := url.Parse(page)
	switch {
	case err != nil:
		return fmt.Errorf("consent_page: %w", err)
	case strings.ContainsFunc(page, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' || r == '#' }):
		return fmt.Errorf("consent_page %q: it must be in visible ASCII characters, without a fragment", page)
	case u.Scheme == "" && (u.Host != "" || !strings.HasPrefix(page, "/")), u.Scheme != "" && (u.Host == "" || u.User != nil):
		return fmt.Errorf("consent_page %q: it must be a path or a URL, such as /consent", page)
	}
	return nil
}

// checkConsentPage holds the page to the origin of the issuer (RFC 6454): elsewhere, browsers would
// let it neither read what it asks for nor send the answer.
func (c *Config) checkConsentPage() error {
	if c.ConsentPage == "" {
		return nil
	}
	if err := CheckConsentPage(c.ConsentPage); err != nil {
		return err
	}
	page, _ := url.Parse(c.ConsentPage)
	issuer, err := url.Parse(c.Issuer)
	if err != nil || page.Host != "" && !tokenep.SameResource(page.Scheme+"://"+page.Host, issuer.Scheme+"://"+issuer.Host) {
		return fmt.Errorf("consent_page %q: it must be of the same scheme, host and port as the issuer", c.ConsentPage)
	}
	return nil
}

// authorization returns the authorization endpoint, and what stands around it.
func (s *Server) authorization() []tokenep.Endpoint {
	e := endpoint.Authorize{
		Browser: s.browser(), Clients: s.front.Authenticator.Clients, Codes: s.Codes, Consents: s.Consents,
		Use:  s.Clients.Use,
		Seen: state.Seen{Store: s.Config.Store, Now: s.Config.Now},
		User: s.Config.User, Active: s.active, Audience: s.Config.Audience,
		Pushed: state.PushedRequests{Store: s.Config.Store, Now: s.Config.Now}, RequirePAR: s.Config.RequirePAR,
		ConsentPage: s.Config.ConsentPage, Users: s.users(), Claims: s.Config.UserClaims, IDTokens: make(map[string]verify.KeySet),
	}
	for alg, ring := range s.idTokenKeys {
		e.IDTokens[alg] = ring
	}
	var all []tokenep.Endpoint
	if s.Config.signsIn() {
		sessions := endpoint.Sessions{Browser: e.Browser, Sessions: s.Sessions, Active: s.active}
		e.User, e.SignsIn = sessions.User, true
		all = append(all, endpoint.SignIn{Authorize: e, Sessions: sessions, Passwords: s.passwords}.Endpoint(),
			endpoint.SignOut{Authorize: e, Sessions: sessions}.Endpoint())
	}
	all = append(all, e.Endpoint(), endpoint.PushedAuthorization{Authorize: e}.Endpoint())
	all = append(all, s.account(e)...)
	if s.Config.devices() {
		all = append(all, s.deviceEndpoints(e)...)
	}
	if e.ConsentPage != "" {
		all = append(all, endpoint.ConsentRequest{Authorize: e}.Endpoint(), endpoint.Grants{Authorize: e}.Endpoint())
	}
	return all
}

// account returns the endpoints at which people see and change their access.
func (s *Server) account(e endpoint.Authorize) []tokenep.Endpoint {
	a := endpoint.Account{Authorize: e, Tokens: s.accountTokens()}
	if s.Config.signsIn() {
		a.Sessions = &endpoint.Sessions{Browser: e.Browser, Sessions: s.Sessions, Active: s.active}
	}
	all := []tokenep.Endpoint{a.Endpoint()}
	if a.Tokens.Tokens != nil {
		all = append(all, endpoint.APITokensAPI{
			Account: a, Verifier: s.toItself, Address: s.Config.ClientAddress, Rates: s.Config.Memory.Rates,
		}.Endpoints()...)
	}
	return all
}

// browser returns what all pages have in common.
func (s *Server) browser() endpoint.Browser {
	return endpoint.Browser{
		Front: s.front, Issuer: s.Config.Issuer, Seals: &s.Config.Memory.pages, Pages: s.pages, PathOf: s.pathOf, Now: s.Config.Now,
	}
}

// pathOf returns where an endpoint is, as a URI has it.
func (s *Server) pathOf(name string) string {
	if paths := s.paths.Load(); paths != nil {
		return (&url.URL{Path: (*paths)[name]}).EscapedPath()
	}
	return ""
}

// loadRefreshKey reads the key of refresh tokens, from which that of pages is derived; if there is
// none, it makes one. A configuration that takes over from another goes on with the key in memory
// while the store is away.
func (s *Server) loadRefreshKey(ctx context.Context) error {
	memory := s.Config.Memory
	seals, err := seal.New(s.Config.EncryptionKeys, s.Config.Name)
	if err != nil {
		return err
	}
	key, err := state.RefreshKey(ctx, s.Config.Store, seals)
	switch {
	case errors.Is(err, store.ErrUnavailable) && s.Keys.Inherited():
		s.Config.Logger.Error("the key of refresh tokens was not read; that of the previous configuration stays in use", "error", err)
		return nil
	case err != nil:
		return err
	}
	memory.pages.SetKey(key)
	if err := memory.setNonceKey(key); err != nil {
		return err
	}
	return memory.refreshMAC.SetKey(key)
}
