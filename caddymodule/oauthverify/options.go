package oauthverify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/policy"
)

// Options are what a route asks of a request.
type Options struct {
	// The name of the server of this process that is trusted. Default: "default" if no issuer is
	// given.
	Server string `json:"server,omitempty"`

	// Other issuers that are trusted. Default: none.
	Issuers []*Issuer `json:"issuers,omitempty"`

	// The names of this resource, one of which must be in aud (RFC 9068 §4), byte for byte.
	// Required unless each issuer has its own audience, or insecure_any_audience is set.
	Audience []string `json:"audience,omitempty"`

	// Accept tokens that were issued for other resources. Whoever receives such a token can use it
	// here. Default: false.
	InsecureAnyAudience bool `json:"insecure_any_audience,omitempty"`

	// Scope tokens (RFC 6749 §3.3), all of which are required. Default: none.
	Scope []string `json:"scope,omitempty"`

	// Scope tokens, at least one of which is required. Default: none.
	AnyScope []string `json:"any_scope,omitempty"`

	// What other scope tokens a scope token includes, at any depth: a token with it is as good as
	// one with them all. Default: none.
	ScopeImplies map[string][]string `json:"scope_implies,omitempty"`

	// Conditions in the Common Expression Language, each of which must hold. They see claims, and
	// request.method, request.path, request.host, request.address and request.headers. Where one
	// does not hold, or fails, the answer is 403. Default: none.
	Rules []string `json:"rules,omitempty"`

	// The rules for a server of the Model Context Protocol. Default: none.
	MCP *MCP `json:"mcp,omitempty"`

	// Claims of which a token must have all, beside those of its issuer. Each is a name, or
	// name=value for a string, a number, a boolean, or an element of a list; a name may be a path
	// with dots. Default: none.
	RequireClaims []string `json:"require_claims,omitempty"`

	// How long after iat a token may expire. Default: as long as its issuer likes.
	MaxLifetime caddy.Duration `json:"max_lifetime,omitempty"`

	// How long ago the person may have signed in, as auth_time says (RFC 9470); in whole seconds.
	// Default: at any time.
	MaxAuthAge caddy.Duration `json:"max_auth_age,omitempty"`

	// The authentication context classes of which acr must be one (RFC 9470), the preferred one
	// first. Default: any.
	ACRValues []string `json:"acr_values,omitempty"`

	// Claims that are written to request headers. Default: none.
	Headers []ClaimHeader `json:"headers,omitempty"`

	// Further request headers to remove. Default: none.
	Strip []string `json:"strip,omitempty"`

	// The URL of this resource as its clients know it (RFC 9728), such as
	// https://api.example.com/orders. Challenges then say where its metadata are: oauth_verify
	// serves them if it sees the request, or else oauth_resource_metadata. It is the audience too,
	// where there is no other. Default: none.
	Resource string `json:"resource,omitempty"`

	// The realm of the challenges (RFC 9110 §11.5). Default: "api".
	Realm string `json:"realm,omitempty"`

	// How much the clocks of issuer and proxy may differ, 5m at most. Default: 30s.
	Leeway *caddy.Duration `json:"leeway,omitempty"`

	// Pass on requests that have no token. They have no identity. An invalid token is refused
	// nevertheless. Default: false.
	Optional bool `json:"optional,omitempty"`

	// End what outlasts its token: WebSockets, server-sent events and other long responses, when
	// the token expires or is revoked. Default: false, who was let in may stay.
	CloseStreams bool `json:"close_streams,omitempty"`

	// What goes to the upstream in the place of the token. Default: nothing; what follows does not
	// see the token.
	Authorization *Authorization `json:"authorization,omitempty"`

	// Pass on the preflight requests of CORS, which browsers send without credentials, also those
	// of the pages in cors_origins. Default: false.
	AllowPreflight bool `json:"allow_preflight,omitempty"`

	// The origins of web pages that may send requests, with any method and header, and read
	// refusals, with their challenges; "*" for all. Their preflights are answered here; what the
	// API answers is between it and them. Default: none.
	CORSOrigins []string `json:"cors_origins,omitempty"`

	// Accept a token in a form as well (RFC 6750 §2.2). Default: false.
	FormToken bool `json:"form_token,omitempty"`

	// Accept a token in the query as well (RFC 6750 §2.3). From there it gets into logs and
	// histories (RFC 9700 §4.3.2). Default: false.
	InsecureQueryToken bool `json:"insecure_query_token,omitempty"`

	// Further headers that a token is taken from. A request with tokens in two places is refused
	// with 400. Default: none.
	TokenHeaders []TokenHeader `json:"token_headers,omitempty"`

	// Cookies that a token is taken from. A request that is not safe must then come from the same
	// origin, as Sec-Fetch-Site or Origin says: browsers add cookies whoever asks. Default: none.
	TokenCookies []string `json:"token_cookies,omitempty"`

	// Accept tokens in cookies whatever the origin of the request. Any site can then have a browser
	// do here what the person may (CSRF). Default: false.
	InsecureAnyOrigin bool `json:"insecure_any_origin,omitempty"`

	// Pass on paths that an upstream could take for others: those with a dot segment, a backslash
	// or a NUL, plain or in disguise, such as ..;, %2e%2e, %5c or %252e, and what is no path that
	// begins with one slash. With them, a route that is open to all can lead to what another one
	// protects. Default: false, they are refused with 400. Likewise the headers X-Original-URL and
	// X-Rewrite-URL, which are removed otherwise.
	InsecureAnyPath bool `json:"insecure_any_path,omitempty"`

	// Pass on the headers by which an upstream may take the request for one of another method, such
	// as X-HTTP-Method-Override. Default: false.
	InsecureAnyMethod bool `json:"insecure_any_method,omitempty"`

	// The largest size of a token, in bytes. Default: 8192.
	MaxTokenSize int `json:"max_token_size,omitempty"`

	// The rules for tokens that are bound to a key of the client (RFC 9449). Default: they are
	// accepted where a server of this process is trusted.
	DPoP *DPoP `json:"dpop,omitempty"`

	// The rules for tokens that are bound to a TLS certificate of the client (RFC 8705). Default:
	// see there.
	ClientCertificates *ClientCertificates `json:"client_certificates,omitempty"`

	// The form of the body of a refusal: json, with error and error_description; problem, a problem
	// document (RFC 9457) with error and scope; or iceberg, that of the Iceberg REST catalog.
	// Default: json; where the server has routes of handle_errors, they can write one, or there is
	// none.
	ErrorBody string `json:"error_body,omitempty"`
}

// ClaimHeader writes a claim to a request header.
type ClaimHeader struct {
	// The name of the header. Headers of that name in the request are removed, in any spelling.
	// Required.
	Header string `json:"header"`

	// The name of the claim, or the names that lead to a member of an object. No character of a
	// name means anything. Required.
	Claim []string `json:"claim"`

	// How the claim is written: repeat, one header for each element of a list; percent, the
	// percent-encoding of RFC 8187; base64; or json, which alone can write objects. Default: as it
	// is, the elements of a list with a separator between them. What does not fit a header is
	// refused with 401: in the default form and with repeat, a string that is not printable ASCII,
	// or that has the separator.
	Form string `json:"form,omitempty"`

	// The character between the elements of a list, in the default form. Default: a comma.
	Separator string `json:"separator,omitempty"`

	// Leave the header out where the claim does not fit, instead of refusing the request. A
	// carriage return, a line feed and a NUL are refused nevertheless. Default: false.
	Omit bool `json:"omit,omitempty"`
}

// TokenHeader is a header that a token is taken from.
type TokenHeader struct {
	// The name of the header. What follows does not see it. Required.
	Header string `json:"header"`

	// The scheme that stands before the token, such as Bearer. Default: none, the value is the
	// token alone.
	Scheme string `json:"scheme,omitempty"`
}

const defaultLeeway = 30 * time.Second

func (o *Options) leeway() time.Duration {
	if o.Leeway == nil {
		return defaultLeeway
	}
	return time.Duration(*o.Leeway)
}

// assemble makes the guard, or returns what is wrong with the options. Trusted proxies pass on the
// certificates of their clients in a header; "": they don't.
func (o *Options) assemble(config verify.Config, certificateHeader string) (*verify.Guard, error) {
	if o.ErrorBody != "" && !slices.Contains(errorBodies, o.ErrorBody) {
		return nil, fmt.Errorf("error_body %q: it must be one of %s", o.ErrorBody, strings.Join(errorBodies, ", "))
	}
	if err := cmp.Or(o.checkAnyAudience(), o.checkPossession()); err != nil {
		return nil, err
	}
	config.RequireCertificate = o.ClientCertificates != nil && o.ClientCertificates.Required
	config.Leeway, config.MaxTokenSize = o.leeway(), o.MaxTokenSize
	config.MaxLifetime, config.RequireClaims = time.Duration(o.MaxLifetime), o.RequireClaims
	config.Authentication = verify.Authentication{MaxAge: time.Duration(o.MaxAuthAge), ACRValues: o.ACRValues}
	verifier, err := verify.New(config)
	if err != nil {
		return nil, err
	}
	if err := o.checkLists(); err != nil {
		return nil, err
	}
	guard := &verify.Guard{
		Verifier: verifier, Scope: o.Scope, AnyScope: o.AnyScope, Realm: o.Realm, Resource: o.Resource,
		Optional: o.Optional, KeepAuthorization: o.Authorization != nil && o.Authorization.Keep, Preflight: o.AllowPreflight, CloseStreams: o.CloseStreams,
		FormToken: o.FormToken, InsecureQueryToken: o.InsecureQueryToken, InsecureAnyPath: o.InsecureAnyPath, InsecureAnyMethod: o.InsecureAnyMethod, Strip: o.Strip,
		ClientAddress: adapt.ClientAddress, Received: adapt.Received, OverTLS: adapt.OverTLS,
		CertificateHeader: certificateHeader, TrustedProxy: adapt.TrustedProxy,
	}
	guard.MCP = o.MCP.rules()
	guard.TokenCookies, guard.InsecureAnyOrigin = o.TokenCookies, o.InsecureAnyOrigin
	for _, source := range o.TokenHeaders {
		guard.TokenHeaders = append(guard.TokenHeaders, verify.TokenHeader{Name: source.Header, Scheme: source.Scheme})
	}
	if guard.Replace, err = o.Authorization.check(); err != nil {
		return nil, err
	}
	if guard.Replace != nil {
		guard.Replace.Credential = noCredential // until it is provisioned
	}
	for token, others := range o.ScopeImplies {
		if guard.ScopeImplies == nil {
			guard.ScopeImplies = make(map[string]verify.Scope)
		}
		guard.ScopeImplies[token] = others
	}
	for _, text := range o.Rules {
		rule, err := policy.NewRule(text, adapt.ClientAddress)
		if err = cmp.Or(err, adapt.CheckExpression(text)); err != nil {
			return nil, fmt.Errorf("rule %.200s: %w", text, err)
		}
		guard.Rules = append(guard.Rules, rule)
	}
	for _, c := range o.Headers {
		guard.Headers = append(guard.Headers, verify.HeaderClaim{Header: c.Header, Claim: c.Claim,
			Form: verify.HeaderForm(c.Form), Separator: c.Separator, OmitUnfit: c.Omit})
	}
	return guard, guard.Validate()
}

// checkLists refuses placeholders that nobody would resolve, and what is no list of names but could
// pass for one.
func (o *Options) checkLists() error {
	claims := make([]string, len(o.Headers))
	for i := range o.Headers {
		claims[i] = strings.Join(o.Headers[i].Claim, ".")
	}
	var implies []string
	for token, others := range o.ScopeImplies {
		implies = slices.Concat(implies, []string{token}, others)
	}
	slices.Sort(implies)
	return cmp.Or(
		o.MCP.check(),
		oauthserver.CheckOrigins(o.CORSOrigins),
		adapt.RefusePlaceholders("scope_implies", implies),
		adapt.RefusePlaceholders("require_claims", o.RequireClaims),
		adapt.RefusePlaceholders("acr_values", o.ACRValues),
		adapt.CheckScope(implies, adapt.Line("scope_implies")),
		adapt.CheckClaims(o.RequireClaims, adapt.Line("require_claims")),
		adapt.CheckNames(o.ACRValues, "acr values", adapt.Line("acr_values")),
		adapt.RefusePlaceholders("scope", slices.Concat(o.Scope, o.AnyScope)),
		adapt.RefusePlaceholders("header", claims),
		adapt.RefusePlaceholders("strip", o.Strip),
		adapt.CheckScope(o.Scope, adapt.Line("scope")),
		adapt.CheckScope(o.AnyScope, adapt.Line("any_scope")),
		adapt.CheckNames(o.TokenCookies, "cookies", adapt.Line("token_cookie")),
		adapt.CheckNames(o.Strip, "headers", adapt.Line("strip")),
	)
}

func checkRealm(realm string) error {
	return (&verify.Guard{Verifier: new(verify.Verifier), Realm: realm}).Validate()
}
