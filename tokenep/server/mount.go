package server

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Paths is where the endpoints are, as paths of the issuer's host. What is left out is at its
// default place.
type Paths struct {
	// Token are the places of the token endpoint, each with its dialect; the first is the one that
	// the metadata names. Default: <issuer>/oauth/token.
	Token []TokenPath

	// Moved are the places of other endpoints, by the name of the endpoint; the first is the one
	// that the metadata names.
	Moved map[string][]string

	// Passthrough leaves paths in <issuer>/oauth/ alone that no endpoint has. Otherwise they are
	// 404.
	Passthrough bool

	// Logger takes what is warned about. Default: that of the server.
	Logger *slog.Logger

	nowhere string // an endpoint without a place
}

// TokenPath is one path of the token endpoint, and how it differs from the others.
type TokenPath struct {
	Path    string
	Dialect tokenep.Dialect
}

// addEndpoints makes the table of endpoints. The token endpoint and the metadata, which depend on
// the paths, are added by Mount.
func (s *Server) addEndpoints() error {
	s.endpoints = []tokenep.Endpoint{
		endpoint.JWKS(s.Rings(), jwksMaxAge),
		endpoint.Revocation{
			Verifier: s.lenient,
			Revoked:  s.Config.Memory.Revocations.Revoked,
			Revoke:   s.revokeOwn,
			Families: s.Families, APITokens: s.apiTokens(), Address: s.Config.ClientAddress,
		}.Endpoint(),
		endpoint.Introspection{
			Issuer: s.Config.Issuer, Verifier: s.introspecting, Clients: s.front.Authenticator.Clients,
			Families: s.Families, APITokens: s.apiTokens(), Address: s.Config.ClientAddress, Active: s.active, Enabled: s.enabled,
		}.Endpoint(),
	}
	if s.Config.people() {
		s.endpoints = append(s.endpoints, s.authorization()...)
	}
	if s.Config.openID() {
		s.endpoints = append(s.endpoints, endpoint.UserInfo{
			Verifier: s.Verifier, Users: s.users(), Claims: s.Config.UserClaims, SignIn: s.Config.SignIn,
			Address: s.Config.ClientAddress, Rates: s.Config.Memory.Rates, Refused: s.front.Denied,
		}.Endpoint())
	}
	s.endpoints = append(s.endpoints, s.leaked())
	if s.Config.Health {
		s.endpoints = append(s.endpoints, s.health())
	}
	if s.Config.Registration != nil {
		s.endpoints = append(s.endpoints, s.registration())
	}
	for _, add := range s.Config.Endpoints {
		e, err := add(s)
		if err != nil {
			return err
		}
		if err := s.checkEndpoint(&e); err != nil {
			return fmt.Errorf("endpoint %q: %w", e.Name, err)
		}
		s.endpoints = append(s.endpoints, e)
	}
	return nil
}

// endpointName is what a configuration, the log and metrics can hold.
var endpointName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// checkEndpoint returns what is wrong with an endpoint from outside.
func (s *Server) checkEndpoint(e *tokenep.Endpoint) error {
	switch {
	case !endpointName.MatchString(e.Name):
		return errors.New("its name must consist of lower-case letters, digits and _")
	case e.Name == tokenep.TokenEndpointName || e.Name == endpoint.MetadataName,
		slices.ContainsFunc(s.endpoints, func(other tokenep.Endpoint) bool { return other.Name == e.Name }):
		return errors.New("it must have a name of its own")
	case (e.Call == nil) == (e.Handler == nil):
		return errors.New("it must have either Call or Handler")
	case e.Call != nil && !slices.Equal(e.Methods, []string{http.MethodPost}):
		return errors.New("its method must be POST, since it has a Call")
	case e.Handler != nil && (e.Callers != tokenep.AnyCaller || len(e.Parameters) > 0 || e.Dialect != nil):
		return errors.New("it has a Handler, and so no Callers, Parameters or Dialect")
	case len(e.Methods) == 0:
		return errors.New("it must know at least one method")
	case e.Places == nil:
		return CheckPath(e.Path)
	}
	return nil
}

// Mount returns every route of the server.
func (s *Server) Mount(p Paths) (*Routes, error) {
	u, err := url.Parse(s.Config.Issuer)
	if err != nil {
		return nil, err
	}
	base := strings.TrimRight(u.Path, "/") // as requests are compared, decoded
	if len(p.Token) == 0 {
		p.Token = []TokenPath{{Path: base + tokenPath}}
	}
	p.Token = slices.Clone(p.Token) // their dialects are completed
	var places []place
	for i := range p.Token {
		if err := s.checkDialect(&p.Token[i]); err != nil {
			return nil, err
		}
		s.completeDialect(&p.Token[i], cmp.Or(p.Logger, s.Config.Logger))
		places = append(places, place{p.Token[i].Path, s.tokenEndpoint(&p.Token[i].Dialect)})
	}
	for i := range s.endpoints {
		places = append(places, p.of(&s.endpoints[i], base)...)
	}
	document, err := s.metadata(places, s.Config.origin())
	if err != nil {
		return nil, err
	}
	metadata, err := endpoint.Metadata(document)
	if err != nil {
		return nil, err
	}
	places = append(places, p.of(&metadata, base)...)
	if err := p.check(places); err != nil {
		return nil, err
	}
	s.addTokenEndpoint(document["token_endpoint"].(string))
	s.addPaths(places)
	return s.routes(places, base, p.Passthrough), nil
}

// origin returns scheme and host of the issuer. All URLs of the server begin with it.
func (c *Config) origin() string {
	u, err := url.Parse(c.Issuer)
	if err != nil { // New has checked it
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// addPaths notes where the endpoints are of the first Mount: pages lead from one to another.
func (s *Server) addPaths(places []place) {
	paths := make(map[string]string)
	for _, at := range places {
		if paths[at.endpoint.Name] == "" {
			paths[at.endpoint.Name] = at.path
		}
	}
	s.paths.CompareAndSwap(nil, &paths)
}

// addTokenEndpoint notes the URL of the token endpoint of one Mount. Assertions may be for it,
// wherever they are sent.
func (s *Server) addTokenEndpoint(uri string) {
	for {
		before := s.tokenURLs.Load()
		var urls []string
		if before != nil {
			urls = *before
		}
		if slices.Contains(urls, uri) {
			return
		}
		urls = append(slices.Clip(urls), uri)
		if s.tokenURLs.CompareAndSwap(before, &urls) {
			return
		}
	}
}

// tokenEndpoints returns the URLs of the token endpoint.
func (s *Server) tokenEndpoints() []string {
	if urls := s.tokenURLs.Load(); urls != nil {
		return *urls
	}
	return nil
}

// place is a path at which an endpoint is.
type place struct {
	path     string
	endpoint *tokenep.Endpoint
}

// of returns the places of an endpoint: those to which it was moved, or its default ones.
func (p *Paths) of(e *tokenep.Endpoint, base string) []place {
	paths := p.Moved[e.Name]
	switch {
	case len(paths) > 0:
	case e.Places != nil:
		paths = e.Places(base)
	case e.Name == endpoint.LeakedName: // it is the token endpoint's
		paths = []string{p.Token[0].Path + "/leaked"}
	default:
		paths = []string{base + e.Path}
	}
	if len(paths) == 0 {
		p.nowhere = e.Name
	}
	places := make([]place, len(paths))
	for i, path := range paths {
		places[i] = place{path, e}
	}
	return places
}

// check refuses names that no endpoint has, and places that are none or shared.
func (p *Paths) check(places []place) error {
	var names, paths, folders []string
	for _, at := range places {
		if at.endpoint.Argument == "" {
			paths = append(paths, at.path)
		} else {
			folders = append(folders, at.path)
		}
		if name := at.endpoint.Name; name != tokenep.TokenEndpointName && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if p.nowhere != "" {
		return fmt.Errorf("endpoint %q has no place", p.nowhere)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Moved)) {
		if !slices.Contains(names, name) {
			return fmt.Errorf("there is no endpoint %q to move; expected %s", name, strings.Join(names, ", "))
		}
	}
	return errors.Join(checkPaths(paths), checkPaths(folders))
}

// responseTypes returns those of the authorization endpoint, if there is one.
func (s *Server) responseTypes() []string {
	if !s.Config.people() {
		return []string{}
	}
	return []string{"code"}
}

// scopes returns what clients of the configuration may ask for, and those that register themselves.
func (s *Server) scopes() []string {
	var all verify.Scope
	for i := range s.Config.Clients {
		all = append(all, s.Config.Clients[i].Scope...)
	}
	if r := s.Config.Registration; r != nil {
		all = append(all, r.Template.Scope...)
	}
	var scopes []string
	for _, token := range all {
		if !slices.Contains(scopes, token) {
			scopes = append(scopes, token)
		}
	}
	return scopes
}

// metadata describes the server as it is configured (RFC 8414 §2).
func (s *Server) metadata(places []place, origin string) (map[string]any, error) {
	var grantTypes, methods []string
	for _, g := range s.grants {
		grantTypes = append(grantTypes, g.Type())
	}
	for _, m := range s.methods {
		methods = append(methods, m.Method())
	}
	document := map[string]any{
		"issuer":                                s.Config.Issuer,
		"grant_types_supported":                 grantTypes,
		"token_endpoint_auth_methods_supported": methods,
		"response_types_supported":              s.responseTypes(), // REQUIRED
		// OpenID Connect Discovery 1.0 §3 requires these two, the second of which is what this
		// server signs with.
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": s.idTokenAlgs(),
		"dpop_signing_alg_values_supported":     verify.Algorithms(), // RFC 9449 §5.1
	}
	if s.possessions.Certificate != nil {
		document["tls_client_certificate_bound_access_tokens"] = true // RFC 8705 §3.3
	}
	if slices.ContainsFunc(s.Config.Subjects, func(source *subject.Source) bool { return source.IDJAG != nil }) {
		document["authorization_grant_profiles_supported"] = []string{subject.IDJAGProfile}
	}
	if scopes := s.scopes(); len(scopes) > 0 {
		document["scopes_supported"] = scopes
	}
	named := make(map[string]string) // members by the names of their endpoints
	for _, at := range places {
		member, name := at.endpoint.Member, at.endpoint.Name
		switch {
		case member == "" || named[member] == name: // of several places the first is named
		case document[member] != nil:
			return nil, fmt.Errorf("endpoint %q: the metadata have another %q already", name, member)
		default:
			named[member] = name
			document[member] = origin + (&url.URL{Path: at.path}).EscapedPath()
		}
	}
	for _, e := range s.endpoints {
		if e.Metadata == nil {
			continue
		}
		for member, value := range e.Metadata(document) {
			if document[member] != nil {
				return nil, fmt.Errorf("endpoint %q: the metadata have another %q already", e.Name, member)
			}
			document[member] = value
		}
	}
	addAlgorithms(document)
	return document, nil
}

// addAlgorithms says what assertions may be signed with, wherever it is said how clients
// authenticate.
func addAlgorithms(document map[string]any) {
	for member := range maps.Clone(document) {
		if endpoint, ok := strings.CutSuffix(member, "_auth_methods_supported"); ok {
			algorithms := verify.Algorithms()
			if methods, ok := document[member].([]string); ok && slices.Contains(methods, tokenep.AuthSecretJWT) {
				algorithms = append(algorithms, verify.MACAlgorithms()...)
			}
			document[endpoint+"_auth_signing_alg_values_supported"] = algorithms
		}
	}
}
