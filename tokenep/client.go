package tokenep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// ClientSubjectPrefix begins the sub of a token that a client got for itself (RFC 6749 §4.4), so
// that no client can be mistaken for a user of the same name (RFC 9068 §5). No user's name may
// begin with it.
const ClientSubjectPrefix = state.ClientSubjectPrefix

// APITokenClientPrefix begins the client_id of an access token that was exchanged for an API token
// without any client: RFC 9068 §2.2 requires the claim, and the API token is what was registered.
// No client's id may begin with it.
const APITokenClientPrefix = "api_token:"

// PolicyClientPrefix begins the client_id of an access token that a policy gave for a token of
// somebody else without any client, likewise. The rest is the name of the policy.
const PolicyClientPrefix = "policy:"

// PolicyGrantPrefix begins the grant_id of an access token that a policy gave, so that all of them
// can be revoked. The rest is the name of the policy.
const PolicyGrantPrefix = "policy:"

// Client is a registered client (RFC 6749 §2): what it may do, and how it proves who it is. The
// members of its JSON are the client metadata of RFC 7591 §2, and some more.
//
// It is written down here alone: a configuration, the admin API, the command line and the store use
// this type. A field with the tag option can be set by that word in a Caddyfile, and by the flag of
// the same name, or that in the tag flag, on the command line; usage is its help.
type Client struct {
	// The client_id: up to 128 visible ASCII characters or spaces (RFC 6749 appendix A.1).
	// Required.
	ID string `json:"client_id"`

	// What people call the client. Default: none.
	Name string `json:"client_name,omitempty" option:"name" usage:"What people call it"`

	// The page of the client, for people (RFC 7591 §2): an https URL. Default: none.
	URI string `json:"client_uri,omitempty"`

	// Its logo, its privacy policy and its terms of service (RFC 7591 §2): https URLs. The page
	// that asks people shows them, but for the logo of a client that registered itself, which may
	// be anybody's. Default: none.
	LogoURI   string `json:"logo_uri,omitempty" option:"logo_uri" usage:"URL of its logo, which people see"`
	PolicyURI string `json:"policy_uri,omitempty" option:"policy_uri" usage:"URL of its privacy policy, likewise"`
	TOSURI    string `json:"tos_uri,omitempty" option:"tos_uri" usage:"URL of its terms of service, likewise"`

	// The secrets, any of which authenticates: give two while one is being replaced. Default: none.
	Secrets []Secret `json:"secrets,omitempty"`

	// Whether client_secret without client_id means this client: for credentials of one part, as
	// clients of Iceberg's REST catalog have. One client of a configuration can have it. Default:
	// false.
	SecretWithoutID bool `json:"secret_without_id,omitempty" option:"secret_without_id" usage:"Be meant by client_secret without client_id: for one client of a configuration"`

	// The public keys of a client that authenticates by private_key_jwt or
	// self_signed_tls_client_auth, as a JWK Set (RFC 7517 §5). Default: none.
	JWKS json.RawMessage `json:"jwks,omitempty" option:"jwks" usage:"Its public keys, as the text of a JWK Set: it authenticates by private_key_jwt"`

	// A file with those keys, in the place of jwks. It is read again when it changes; while the new
	// version is broken, the old one stays in use. It is for clients of a configuration. Default:
	// none.
	JWKSFile string `json:"jwks_file,omitempty" option:"jwks_file" usage:"File with its public keys, as a JWK Set: it authenticates by private_key_jwt"`

	// A URL of those keys, in the place of jwks (RFC 7591 §2), which is https; http is for loopback
	// hosts. It is fetched when it is needed, and again while it is in use. Default: none.
	JWKSURI string `json:"jwks_uri,omitempty" option:"jwks_uri" usage:"URL of its public keys, as a JWK Set: it authenticates by private_key_jwt"`

	// What is in the certificate of a client that authenticates by tls_client_auth (RFC 8705
	// §2.1.2): its subject, in the form of RFC 4514, such as "CN=robot,O=Example". The order of the
	// parts matters, and so does every letter of a value. Or one of the names below. Default: none.
	TLSSubjectDN string `json:"tls_client_auth_subject_dn,omitempty" option:"tls_client_auth_subject_dn" usage:"Subject of its certificate, such as CN=robot,O=Example: it authenticates by tls_client_auth"`

	// A DNS name, a URI, an IP address or an email address that is among the subject alternative
	// names of the certificate, in the place of the subject. Default: none.
	TLSSANDNS   string `json:"tls_client_auth_san_dns,omitempty" option:"tls_client_auth_san_dns" usage:"DNS name in its certificate, likewise"`
	TLSSANURI   string `json:"tls_client_auth_san_uri,omitempty" option:"tls_client_auth_san_uri" usage:"URI in its certificate, likewise"`
	TLSSANIP    string `json:"tls_client_auth_san_ip,omitempty" option:"tls_client_auth_san_ip" usage:"IP address in its certificate, likewise"`
	TLSSANEmail string `json:"tls_client_auth_san_email,omitempty" option:"tls_client_auth_san_email" usage:"Email address in its certificate, likewise"`

	// How the client must authenticate: client_secret_basic, client_secret_post, client_secret_jwt,
	// private_key_jwt, tls_client_auth, self_signed_tls_client_auth, or none for a public client
	// (RFC 6749 §2.1). client_secret_jwt is for clients of a configuration whose secret is a
	// placeholder; self_signed_tls_client_auth takes a certificate of one of its public keys.
	// Default: with secrets, client_secret_basic or client_secret_post; with keys, private_key_jwt;
	// with a name of a certificate, tls_client_auth. A client that has none of them must say none.
	AuthMethod string `json:"token_endpoint_auth_method,omitempty" option:"auth_method" usage:"How it must authenticate, such as client_secret_basic (default: by Basic or in the body)"`

	// The same for a client that may choose among several methods, one in each request. Default:
	// none.
	AuthMethods []string `json:"token_endpoint_auth_methods,omitempty" option:"auth_methods" usage:"One of several methods by which it may authenticate (repeatable)"`

	// The algorithm with which the client must sign its assertions (OpenID Connect Dynamic Client
	// Registration §2). Default: any for which it has a key.
	AuthSigningAlg string `json:"token_endpoint_auth_signing_alg,omitempty" option:"auth_signing_alg" usage:"Algorithm with which it must sign its assertions, such as ES256"`

	// What the aud of its assertions may be: strict is the issuer alone
	// (draft-ietf-oauth-rfc7523bis); lax is also the URL of the token endpoint, or of the endpoint
	// to which it is sent (RFC 7523 §3). Default: lax.
	AssertionAudience string `json:"assertion_audience,omitempty" option:"assertion_audience" usage:"What the aud of its assertions may be: strict (the issuer alone) or lax"`

	// The grant types that it may use, by their grant_type or their short name: client_credentials
	// (RFC 6749 §4.4), authorization_code (§4.1), refresh_token (§6), and token_exchange, which is
	// short for urn:ietf:params:oauth:grant-type:token-exchange (RFC 8693). Default: none.
	GrantTypes []string `json:"grant_types,omitempty" option:"grants" flag:"grant" usage:"Grant that it may use, such as client_credentials (repeatable)"`

	// The URIs that an authorization may be answered to (RFC 6749 §3.1.2), compared exactly; a
	// loopback host may have any port (RFC 8252 §7.3). Required for authorization_code. Default:
	// none.
	RedirectURIs []string `json:"redirect_uris,omitempty" option:"redirect_uris" flag:"redirect-uri" usage:"URI that an authorization may be answered to (repeatable)"`

	// The URIs that a browser may be sent to when it was signed out at the client's request (OpenID
	// Connect RP-Initiated Logout 1.0 §3.1), compared exactly. Default: none.
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty" option:"post_logout_redirect_uris" flag:"post-logout-redirect-uri" usage:"URI that a browser may be sent to after it was signed out (repeatable)"`

	// Whether it gets a refresh token only if it was allowed the scope offline_access (OpenID
	// Connect Core §11). Default: false, and it gets one whenever it may use the refresh_token
	// grant.
	RequireOfflineAccess bool `json:"require_offline_access,omitempty" option:"require_offline_access" usage:"Give it a refresh token only with the scope offline_access"`

	// The algorithm that signs its ID tokens (OpenID Connect Core §2): RS256, ES256 or EdDSA.
	// Default: RS256.
	IDTokenAlg string `json:"id_token_signed_response_alg,omitempty" option:"id_token_alg" usage:"Algorithm of its ID tokens: RS256, ES256 or EdDSA (default: RS256)"`

	// Whether the client gets what it asks for of a user's without the user being asked: for
	// applications of one's own alone. Default: false.
	SkipConsent bool `json:"skip_consent,omitempty" option:"skip_consent" usage:"Ask no user for consent: for applications of one's own alone"`

	// Whether the client may send a browser to the authorization endpoint with pushed requests
	// alone (RFC 9126 §6). Default: that of the server.
	RequirePAR bool `json:"require_pushed_authorization_requests,omitempty" option:"require_par" usage:"Take no authorization request of it but pushed ones (RFC 9126)"`

	// Whether its access tokens are always bound to a key of its own, so that it must send a DPoP
	// proof with each token request (RFC 9449 §5.2). Default: false, and those are bound that it
	// asks for with a proof.
	DPoPBound bool `json:"dpop_bound_access_tokens,omitempty" option:"dpop_bound_access_tokens" usage:"Give it no access token but those that are bound to its key by DPoP (RFC 9449)"`

	// Whether its access tokens are always bound to the certificate of its TLS connection (RFC 8705
	// §3.4). Default: false, and those are bound that a client gets which authenticates by its
	// certificate, and sends no DPoP proof.
	CertificateBound bool `json:"tls_client_certificate_bound_access_tokens,omitempty" option:"tls_client_certificate_bound_access_tokens" usage:"Give it no access token but those that are bound to its TLS certificate (RFC 8705)"`

	// Whether its code_challenge may be plain (RFC 7636 §4.2), so that whoever reads the
	// authorization request can redeem its code: for a client that cannot do S256. Default: false.
	InsecurePlainPKCE bool `json:"insecure_plain_pkce,omitempty" option:"insecure_plain_pkce" usage:"Take its code_challenge in plain: for a client that cannot do S256"`

	// Whether it may leave out code_challenge (RFC 9700 §2.1.1), so that a code that somebody else
	// got hold of is good in its hands: for a confidential client that knows nothing of PKCE.
	// Default: false.
	InsecureNoPKCE bool `json:"insecure_no_pkce,omitempty" option:"insecure_no_pkce" usage:"Need no code_challenge of it: for a confidential client that knows nothing of PKCE"`

	// The scope that it may ask for (RFC 6749 §3.3). Default: none.
	Scope verify.Scope `json:"scope,omitempty" option:"scope" usage:"What it may ask for: scope tokens separated by spaces"`

	// The scope that it gets when it asks for none. Default: all of scope.
	DefaultScope verify.Scope `json:"default_scope,omitempty" option:"default_scope" usage:"What it gets when it asks for no scope (default: all)"`

	// The resources that its tokens may be for (RFC 8707), which is their aud as it is written
	// here; all of them when it asks for none. It may ask for a resource with its host in other
	// letters, with the default port, or with a slash for an empty path. Default: the server's
	// audience.
	Audience []string `json:"audience,omitempty" option:"audience" usage:"Resource that its tokens may be for (repeatable; default: the audience of the server)"`

	// The life of its access tokens. Default: the server's.
	AccessTokenTTL Duration `json:"access_token_ttl,omitempty" option:"access_token_ttl" usage:"Life of its access tokens, such as 5m (default: that of the server)"`

	// The clients whose access tokens it may exchange beside its own (RFC 8693), or "*" for all.
	// Default: none.
	ExchangeFrom []string `json:"exchange_from,omitempty" option:"exchange_from" usage:"Client whose access tokens it may exchange, beside its own; * for all (repeatable)"`

	// The audiences that it may exchange the server's own access tokens to (RFC 8693 §1), beside
	// those that the token and the client have in common: the next services, which it calls with
	// what it was called with. It gets them only if it asks for them. Default: none.
	ExchangeTo []string `json:"exchange_to,omitempty" option:"exchange_to" usage:"Audience that it may exchange tokens to, beyond that of the token (repeatable)"`

	// For whom its actors may act (RFC 8693 §4.4) if the subject token has no may_act: "iss=" and
	// an issuer, or the URL of who is asked about such tokens; "sub=" and a subject of this server;
	// both with a space between, for a subject of that issuer, by its name here; "client_id=" and
	// whom this server issued the token to; or "*" for all. Default: none, and only a may_act does.
	MayActFor []string `json:"may_act_for,omitempty" option:"may_act_for" usage:"For whom its actors may act where no may_act says so, such as iss=https://idp.example.com or sub=ada; * for all (repeatable)"`

	// Whose tokens it may bring as actor tokens, beside those that were issued to it, each as in
	// may_act_for. Default: none.
	ActorFrom []string `json:"actor_from,omitempty" option:"actor_from" usage:"Whose tokens it may bring as actor tokens, beside its own, such as client_id=agent or iss=https://idp.example.com; * for all (repeatable)"`

	// The may_act (RFC 8693 §4.4) of the tokens that are issued to it, member by member: sub,
	// client_id or iss, an equals sign and the value, such as client_id=gateway. It lets that actor
	// act for the subject of the token. A may_act of the token that is exchanged stays as it is.
	// Default: none.
	MayAct []string `json:"may_act,omitempty" option:"may_act" usage:"Member of the may_act of its tokens, such as client_id=gateway (repeatable)"`

	// Whether its subject tokens may be JWTs that nobody has signed (RFC 7519 §6), beside an actor
	// token: it can speak for any user. Default: false.
	InsecureUnsecuredSubject bool `json:"insecure_unsecured_subject,omitempty" option:"insecure_unsecured_subject" usage:"Let it speak for any user, by JWTs that nobody has signed: for clients of a configuration"`

	// The audiences whose tokens it may introspect, beside its own tokens (RFC 7662), or "*" for
	// all: it is a protected resource, or stands for some. Default: none.
	Introspect []string `json:"introspect,omitempty" option:"introspect" usage:"Audience whose tokens it may introspect, beside its own; * for all (repeatable)"`

	// When it was registered, in seconds since 1970 (RFC 7591 §3.2.1). It is set by the server.
	IssuedAt int64 `json:"client_id_issued_at,omitempty"`

	// What tells this registration from a later one of the same client_id. It is in the tokens of
	// the client, as grant_id or among their ancestors. It is set by the server.
	RegistrationID string `json:"registration_id,omitempty"`

	// Whether it registered itself (RFC 7591 §3), so that nobody has verified what it is called. It
	// is set by the server.
	SelfRegistered bool `json:"self_registered,omitempty"`

	// When its registration ends unless it is used before, in seconds since 1970. It is set by the
	// server, and taken away by the first use.
	UnusedUntil int64 `json:"unused_until,omitempty"`
}

// May reports whether the client may use the grant.
func (c *Client) May(grantType string) bool {
	return slices.ContainsFunc(c.GrantTypes, func(name string) bool { return NamesGrant(name, grantType) })
}

// OfflineAccessScope is the scope-token by which a client asks for a refresh token (OpenID Connect
// Core §11).
const OfflineAccessScope = "offline_access"

// Refreshes reports whether the client gets a refresh token with what it was allowed.
func (c *Client) Refreshes(allowed verify.Scope) bool {
	return c.May(RefreshTokenType) && (!c.RequireOfflineAccess || allowed.Has(OfflineAccessScope))
}

// Introspects reports whether the client may introspect tokens of others for this audience.
func (c *Client) Introspects(audience []string) bool {
	return slices.ContainsFunc(c.Introspect, func(allowed string) bool { return allowed == "*" || slices.Contains(audience, allowed) })
}

// NamesGrant reports whether name means the grant: it is the grant_type or its GrantName.
func NamesGrant(name, grantType string) bool {
	return name == grantType || name == GrantName(grantType)
}

// ImpliedScope returns what the client gets when it asks for no scope.
func (c *Client) ImpliedScope() verify.Scope {
	if len(c.DefaultScope) > 0 {
		return c.DefaultScope
	}
	return c.Scope
}

// maxID is the longest client_id, in bytes.
const maxID = 128

// What a client may ask for must fit into one token: verifiers take 8 KiB, and 64 audiences, at the
// most.
const (
	maxReach    = 4096
	maxAudience = 64
)

// FitsToken reports whether one token can be good for all of this.
func FitsToken(scope verify.Scope, audience []string) bool {
	return len(scope.String())+len(strings.Join(audience, " ")) <= maxReach && len(audience) <= maxAudience
}

// Validate returns what is wrong with a client as it was configured or submitted.
func (c *Client) Validate() error {
	if err := c.validateID(); err != nil {
		return err
	}
	for _, check := range []func() error{c.validateAuth, c.validateKeys, c.validateAssertions, c.validateCertificateName, c.validateReach, c.validateExchange, c.validateRedirectURIs, c.validateURIs} {
		if err := check(); err != nil {
			return fmt.Errorf("client %q: %w", c.ID, err)
		}
	}
	return nil
}

// IsUnregistered reports whether a client_id is that of an access token that was issued without a
// client.
func IsUnregistered(clientID string) bool {
	return strings.HasPrefix(clientID, APITokenClientPrefix) || strings.HasPrefix(clientID, PolicyClientPrefix)
}

func (c *Client) validateID() error {
	switch {
	case c.ID == "":
		return errors.New("a client must have an id")
	case len(c.ID) > maxID:
		return fmt.Errorf("client %.20s…: the id must not be longer than %d bytes; it has %d", c.ID, maxID, len(c.ID))
	case strings.ContainsFunc(c.ID, func(r rune) bool { return r < 0x20 || r > 0x7e }):
		return fmt.Errorf("client %q: an id must consist of visible ASCII characters and spaces (RFC 6749 appendix A.1)", c.ID)
	case c.ID == "." || c.ID == "..":
		return fmt.Errorf("client %q: no path of a URL can carry such an id (RFC 3986 §5.2.4), and clients are managed by theirs", c.ID)
	case IsUnregistered(c.ID):
		return fmt.Errorf("client %q: ids that begin with %s or %s are reserved", c.ID, APITokenClientPrefix, PolicyClientPrefix)
	}
	return nil
}

func (c *Client) validateReach() error {
	switch {
	case c.IssuedAt < 0:
		return errors.New("client_id_issued_at must not be negative")
	case !FitsToken(c.Scope, c.Audience):
		return fmt.Errorf("its scope and audience do not fit into a token; %d audiences and %d bytes are the most", maxAudience, maxReach)
	case !c.Scope.Includes(c.DefaultScope):
		return fmt.Errorf("default_scope %q is not within scope %q", c.DefaultScope, c.Scope)
	case c.IDTokenAlg != "" && !slices.Contains(IDTokenAlgs, c.IDTokenAlg):
		return fmt.Errorf("unknown id_token_alg %q; expected one of %s", c.IDTokenAlg, strings.Join(IDTokenAlgs, ", "))
	case c.AccessTokenTTL == 0:
		return nil
	}
	if err := CheckLife(time.Duration(c.AccessTokenTTL)); err != nil {
		return fmt.Errorf("access tokens: %w", err)
	}
	return nil
}

// CheckLife refuses a life that is over when it begins: exp has whole seconds here.
func CheckLife(life time.Duration) error {
	if life < time.Second {
		return fmt.Errorf("a life of %s is too short; it must be a second at least", life)
	}
	return nil
}

// Clients finds a client by its id. Its error Is InvalidClient for an id that no client has, and is
// any other error when the answer is not known.
type Clients func(ctx context.Context, id string) (*Client, error)
