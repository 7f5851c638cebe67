package endpoint

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/verify"
)

// RegistrationTemplate is the most that a client can be that registers itself. No registration is
// wider, whatever it asks for.
type RegistrationTemplate struct {
	GrantTypes   []string // some of RegistrationGrants
	Scope        verify.Scope
	Audience     []string                  // of every registration
	RedirectURIs []tokenep.RedirectPattern // each redirect URI must fit one
}

// RegistrationGrants returns the grants that a template can have: those whose first use is noticed.
func RegistrationGrants() []string {
	return []string{grant.AuthorizationCodeType, grant.RefreshTokenType, grant.ClientCredentialsType}
}

// clientMetadata is what is read of a registration (RFC 7591 §2). A member that is not here is
// ignored, and not kept.
type clientMetadata struct {
	RedirectURIs, GrantTypes, ResponseTypes, PostLogoutRedirectURIs                                  []string
	Method, Name, URI, LogoURI, PolicyURI, TOSURI, Scope, JWKSURI, SigningAlg, IDTokenAlg, Statement string
	JWKS                                                                                             json.RawMessage
	RequirePAR                                                                                       bool // require_pushed_authorization_requests
	DPoPBound                                                                                        bool // dpop_bound_access_tokens
}

func readMetadata(d tokenep.Document) (m clientMetadata, err error) {
	if err := d.Texts("redirect_uris", &m.RedirectURIs); err != nil {
		return m, tokenep.InvalidRedirectURI.Describe("redirect_uris must be an array of strings").Because(err)
	}
	for name, into := range map[string]*[]string{
		"grant_types": &m.GrantTypes, "response_types": &m.ResponseTypes, "post_logout_redirect_uris": &m.PostLogoutRedirectURIs,
	} {
		if err := d.Texts(name, into); err != nil {
			return m, tokenep.InvalidClientMetadata.Describe("a member is not the array of strings that it must be").Because(err)
		}
	}
	for name, into := range map[string]*string{
		"token_endpoint_auth_method": &m.Method, "token_endpoint_auth_signing_alg": &m.SigningAlg, "client_name": &m.Name, "client_uri": &m.URI,
		"logo_uri": &m.LogoURI, "policy_uri": &m.PolicyURI, "tos_uri": &m.TOSURI, "scope": &m.Scope, "jwks_uri": &m.JWKSURI, "id_token_signed_response_alg": &m.IDTokenAlg, "software_statement": &m.Statement,
	} {
		if err := d.Text(name, into); err != nil {
			return m, tokenep.InvalidClientMetadata.Describe("a member is not the string that it must be").Because(err)
		}
	}
	for name, into := range map[string]*bool{"require_pushed_authorization_requests": &m.RequirePAR, "dpop_bound_access_tokens": &m.DPoPBound} {
		if err := d.Flag(name, into); err != nil {
			return m, tokenep.InvalidClientMetadata.Describe("a member is not the true or false that it must be").Because(err)
		}
	}
	m.JWKS = d["jwks"]
	if m.JWKS != nil && m.JWKSURI != "" { // RFC 7591 §2
		return m, tokenep.InvalidClientMetadata.Describe("jwks and jwks_uri exclude each other")
	}
	return m, nil
}

// client makes a client of what was asked for. Where RFC 7591 §2 and §3.2.1 leave it to the server,
// this is what is done:
//
//	grant_types                 those of the template stay; none left is an error. Absent means
//	                            authorization_code, or all of a template that lacks it.
//	                            refresh_token needs authorization_code beside it,
//	                            client_credentials a client that is not public
//	response_types              code for authorization_code, else none; an error if something else
//	                            alone was asked for beside that grant
//	redirect_uris               kept or refused as they are, each; required for authorization_code
//	scope                       what the template has of it stays; none left is an error. Absent
//	                            or empty means all of the template's
//	token_endpoint_auth_method  never replaced; absent, a secret is good by Basic or the body
//	jwks, jwks_uri              kept for private_key_jwt alone
//	require_pushed_…_requests,  kept
//	dpop_bound_access_tokens
//	client_uri, logo_uri,       left out unless a page can show them
//	policy_uri, tos_uri
//	software_statement          refused: there is nobody here whose statements are approved
//	audience, resource          ignored: it is that of the template
func (t RegistrationTemplate) client(d tokenep.Document) (c tokenep.Client, err error) {
	m, err := readMetadata(d)
	if err != nil {
		return c, err
	}
	c = tokenep.Client{Name: m.Name, URI: m.URI, LogoURI: m.LogoURI, PolicyURI: m.PolicyURI, TOSURI: m.TOSURI, RequirePAR: m.RequirePAR, DPoPBound: m.DPoPBound, Audience: slices.Clone(t.Audience)}
	for _, uri := range []*string{&c.URI, &c.LogoURI, &c.PolicyURI, &c.TOSURI} {
		if !tokenep.IsShowable(*uri) {
			*uri = ""
		}
	}
	for _, read := range []func(clientMetadata, *tokenep.Client) error{checkStatement, readMethod, t.readGrants, t.readRedirectURIs, t.readScope} {
		if err := read(m, &c); err != nil {
			return tokenep.Client{}, err
		}
	}
	return c, nil
}

// checkStatement refuses every software statement (RFC 7591 §2.3): to ignore one would be to ignore
// what its issuer demands of the client.
func checkStatement(m clientMetadata, _ *tokenep.Client) error {
	switch {
	case m.Statement == "":
		return nil
	case strings.Count(m.Statement, ".") != 2:
		return tokenep.InvalidSoftwareStatement.Describe("the software_statement is not a signed JWT")
	}
	return tokenep.UnapprovedSoftwareStatement.Describe("no software statements are approved here")
}

// readMethod reads how the client will authenticate (RFC 7591 §2, RFC 7523 §2.2).
func readMethod(m clientMetadata, c *tokenep.Client) error {
	c.AuthMethod = m.Method
	switch m.Method {
	case "", tokenep.AuthBasic, tokenep.AuthPost, tokenep.AuthNone:
		return nil
	case tokenep.AuthPrivateKeyJWT:
		c.JWKS, c.JWKSURI, c.AuthSigningAlg = m.JWKS, m.JWKSURI, m.SigningAlg
	default:
		return tokenep.InvalidClientMetadata.Describe("this token_endpoint_auth_method is not supported")
	}
	switch {
	case (c.JWKS != nil) == (c.JWKSURI != ""):
		return tokenep.InvalidClientMetadata.Describe("private_key_jwt needs either jwks or jwks_uri")
	case c.JWKSURI != "" && !isElsewhere(c.JWKSURI):
		return tokenep.InvalidClientMetadata.Describe("jwks_uri must be an https URL with the name of a public host")
	}
	return nil
}

// isElsewhere refuses what an operator may name as the keys of a client, and a stranger may not:
// this machine, and addresses.
func isElsewhere(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" {
		return false
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	_, err = netip.ParseAddr(host)
	return err != nil && strings.Contains(host, ".") && !strings.HasSuffix(host, ".localhost")
}

func (t RegistrationTemplate) readGrants(m clientMetadata, c *tokenep.Client) error {
	asked := m.GrantTypes
	switch {
	case len(asked) > 0:
	case slices.Contains(t.GrantTypes, grant.AuthorizationCodeType):
		asked = []string{grant.AuthorizationCodeType}
	default:
		asked = t.GrantTypes
	}
	code := slices.Contains(t.GrantTypes, grant.AuthorizationCodeType) && slices.Contains(asked, grant.AuthorizationCodeType)
	device := slices.Contains(t.GrantTypes, grant.DeviceCodeType) && slices.Contains(asked, grant.DeviceCodeType)
	for _, grantType := range t.GrantTypes {
		switch {
		case !slices.Contains(asked, grantType):
		case grantType == grant.RefreshTokenType && !code && !device:
		case grantType == grant.ClientCredentialsType && c.Public():
		default:
			c.GrantTypes = append(c.GrantTypes, grantType)
		}
	}
	switch {
	case len(c.GrantTypes) == 0:
		return tokenep.InvalidClientMetadata.Describe("none of these grant_types can be registered")
	case code && len(m.ResponseTypes) > 0 && !slices.Contains(m.ResponseTypes, "code"):
		return tokenep.InvalidClientMetadata.Describe("the response_type code must be among the response_types, for the grant_type authorization_code")
	}
	return nil
}

// readRedirectURIs refuses a URI, and never leaves one out: the client would find out too late.
func (t RegistrationTemplate) readRedirectURIs(m clientMetadata, c *tokenep.Client) error {
	for _, uri := range m.RedirectURIs {
		if !slices.ContainsFunc(t.RedirectURIs, func(p tokenep.RedirectPattern) bool { return p.Match(uri) }) {
			return tokenep.InvalidRedirectURI.Describe("one of the redirect_uris cannot be registered").
				Because(fmt.Errorf("%.200q fits no pattern", uri))
		}
		if !slices.Contains(c.RedirectURIs, uri) {
			c.RedirectURIs = append(c.RedirectURIs, uri)
		}
	}
	for _, uri := range m.PostLogoutRedirectURIs {
		if !slices.ContainsFunc(t.RedirectURIs, func(p tokenep.RedirectPattern) bool { return p.Match(uri) }) {
			return tokenep.InvalidClientMetadata.Describe("one of the post_logout_redirect_uris cannot be registered").
				Because(fmt.Errorf("%.200q fits no pattern", uri))
		}
		if !slices.Contains(c.PostLogoutRedirectURIs, uri) {
			c.PostLogoutRedirectURIs = append(c.PostLogoutRedirectURIs, uri)
		}
	}
	switch {
	case !c.May(grant.AuthorizationCodeType):
		c.RedirectURIs = nil
	case len(c.RedirectURIs) == 0:
		return tokenep.InvalidRedirectURI.Describe("redirect_uris is missing")
	}
	return nil
}

func (t RegistrationTemplate) readScope(m clientMetadata, c *tokenep.Client) error {
	c.Scope = slices.Clone(t.Scope)
	if m.Scope != "" {
		asked, err := verify.ParseScope(m.Scope)
		if err != nil {
			return tokenep.InvalidClientMetadata.Describe("the scope is malformed").Because(err)
		}
		c.Scope = slices.DeleteFunc(c.Scope, func(token string) bool { return !asked.Has(token) })
		if len(c.Scope) == 0 {
			return tokenep.InvalidClientMetadata.Describe("nothing of this scope can be registered")
		}
	}
	if c.Scope.Has(tokenep.OpenIDScope) && c.May(grant.AuthorizationCodeType) {
		c.IDTokenAlg = m.IDTokenAlg
	}
	return nil
}
