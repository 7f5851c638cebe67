package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
)

// Paths is where the endpoints are, as paths of the issuer's host. What is empty is derived from the issuer.
type Paths struct {
	Token      []TokenPath // default: <issuer>/oauth/token; the first is the one that metadata names
	JWKS       string      // default: <issuer>/oauth/jwks
	Revocation string      // default: <issuer>/oauth/revoke
	Metadata   []string    // default: the places of RFC 8414 §3 and of OpenID Connect Discovery 1.0 §4
}

// TokenPath is one path of the token endpoint, and how it differs from the others.
type TokenPath struct {
	Path    string
	Dialect tokenep.Dialect
}

// Routes leads from paths to endpoints.
type Routes map[string]http.Handler

// Mount returns every route of the server.
func (s *Server) Mount(p Paths) (Routes, error) {
	if err := p.complete(s.Config.Issuer); err != nil {
		return nil, err
	}
	metadata, err := endpoint.ServeMetadata(s.metadata(p))
	if err != nil {
		return nil, err
	}
	revocation := &endpoint.Revocation{
		Clients: s.auth, Verifier: s.lenient, Revoked: s.Config.Memory.Revocations.Revoked, Revoke: s.RevokeToken, Logger: s.Config.Logger,
	}

	routes := Routes{
		p.JWKS:       s.whenReady(endpoint.JWKS(s.Keys, jwksMaxAge)),
		p.Revocation: s.whenReady(tokenep.Methods(s.Config.Origins, revocation.ServeHTTP, http.MethodPost)),
	}
	for _, path := range p.Metadata {
		routes[path] = metadata
	}
	for i := range p.Token {
		routes[p.Token[i].Path] = s.whenReady(tokenep.Methods(s.Config.Origins, s.token(&p.Token[i].Dialect).ServeHTTP, http.MethodPost))
	}
	return routes, nil
}

// token returns the token endpoint under one dialect.
func (s *Server) token(d *tokenep.Dialect) *tokenep.Handler {
	return &tokenep.Handler{
		Issuer: s.issuer, Clients: s.auth, Grants: s.grants, Dialect: d,
		TokenTTL: s.Config.TokenTTL, LongestTTL: s.Config.LongestTTL(), Audience: s.Config.Audience, Anonymous: s.anonymous,
		Logger: s.Config.Logger, Observe: s.Config.Observe,
	}
}

// anonymous lets an exchange go without a client, unless its subject is an access token: that takes more than having the token.
func (s *Server) anonymous(r *tokenep.Request) bool {
	subjectType := r.SubjectTokenType()
	return s.Config.Exchange.Anonymous && r.Form.Get("grant_type") == grant.TokenExchangeType &&
		subjectType != grant.AccessTokenType && subjectType != grant.JWTType
}

// whenReady holds requests back until Start has the keys.
func (s *Server) whenReady(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.Wait(r.Context()); err != nil {
			tokenep.WriteError(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// complete derives from the issuer what was left open.
func (p *Paths) complete(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	base := strings.TrimRight(u.EscapedPath(), "/")
	if len(p.Token) == 0 {
		p.Token = []TokenPath{{Path: base + "/oauth/token"}}
	}
	if p.JWKS == "" {
		p.JWKS = base + "/oauth/jwks"
	}
	if p.Revocation == "" {
		p.Revocation = base + "/oauth/revoke"
	}
	if len(p.Metadata) == 0 {
		p.Metadata = []string{
			"/.well-known/oauth-authorization-server" + base,
			base + "/.well-known/openid-configuration",
			"/.well-known/openid-configuration" + base,
		}
		slices.Sort(p.Metadata)
		p.Metadata = slices.Compact(p.Metadata)
	}
	return p.Validate()
}

// metadata describes the server as it is configured.
func (s *Server) metadata(p Paths) endpoint.Metadata {
	u, _ := url.Parse(s.Config.Issuer) // New has parsed it
	origin := u.Scheme + "://" + u.Host
	m := endpoint.Metadata{
		Issuer:             s.Config.Issuer,
		TokenEndpoint:      origin + p.Token[0].Path,
		JWKSURI:            origin + p.JWKS,
		RevocationEndpoint: origin + p.Revocation,
		ResponseTypes:      []string{},
		SubjectTypes:       []string{"public"},
		IDTokenAlgorithms:  []string{s.Config.Algorithm},
	}
	for _, g := range s.grants {
		m.GrantTypes = append(m.GrantTypes, g.Type())
	}
	for _, method := range s.auth.Methods {
		m.TokenAuthMethods = append(m.TokenAuthMethods, method.Method())
	}
	m.RevocationAuthMethods = m.TokenAuthMethods
	for i := range s.Config.Clients {
		for _, scope := range s.Config.Clients[i].Scope {
			if !slices.Contains(m.ScopesSupported, scope) {
				m.ScopesSupported = append(m.ScopesSupported, scope)
			}
		}
	}
	return m
}
