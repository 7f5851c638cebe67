package endpoint

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/registry"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Registration is the client registration endpoint of RFC 7591 §3: a client registers itself, and
// gets what the template allows. The body is a JSON object of client metadata (§2), of which these
// are read; see RegistrationTemplate for what becomes of them:
//
//	redirect_uris, grant_types, response_types, scope, client_name, client_uri, logo_uri,
//	policy_uri, tos_uri, token_endpoint_auth_method, token_endpoint_auth_signing_alg, jwks,
//	jwks_uri, id_token_signed_response_alg, require_pushed_authorization_requests,
//	dpop_bound_access_tokens, software_statement
//
// A registration that nobody uses ends by itself. With Managed the client can read, change and
// delete it (RFC 7592), at the same path with its client_id in the query.
type Registration struct {
	Front    *tokenep.Front
	Registry registry.Registry
	Origin   string // scheme and host of every URL that a client is told
	Template RegistrationTemplate
	Unused   time.Duration // a registration that is not used ends after it
	Managed  bool          // RFC 7592

	// InitialAccessTokens are the hashes of the tokens of which one must be presented, as
	// tokenep.HashSecret makes them; none: the endpoint is open to everybody.
	InitialAccessTokens []string

	Pace *tokenep.Pace // of registrations and of changes; nil: any
}

// Endpoint returns the row of the table.
func (e Registration) Endpoint() tokenep.Endpoint {
	methods := []string{http.MethodPost}
	if e.Managed {
		methods = append(methods, http.MethodGet, http.MethodPut, http.MethodDelete)
	}
	return tokenep.Endpoint{
		Name: registrationName, Path: "/oauth/register", Member: "registration_endpoint",
		Methods: methods,
		Handler: e,
	}
}

// ServeHTTP answers one request.
func (e Registration) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.Front.Answer(w, r, registrationName, func(o *tokenep.Outcome) (any, error) {
		switch r.Method {
		case http.MethodPost:
			answer, err := e.register(r, o)
			return tokenep.Created{Answer: answer}, err
		case http.MethodDelete:
			return nil, e.remove(r, o)
		case http.MethodPut:
			return e.replace(r, o)
		}
		return e.read(r, o)
	})
}

// register adds a client (RFC 7591 §3.1).
func (e Registration) register(r *http.Request, o *tokenep.Outcome) (*registration, error) {
	if err := e.authorize(r); err != nil {
		return nil, err
	}
	d, err := tokenep.ReadDocument(r, tokenep.InvalidClientMetadata)
	if err != nil {
		return nil, err
	}
	client, err := e.Template.client(d)
	if err != nil {
		return nil, err
	}
	if err := e.Pace.Take(e.Front.Address(r)); err != nil {
		return nil, err
	}
	made, err := e.Registry.Register(r.Context(), client, e.Unused, e.Managed)
	if err != nil {
		return nil, refusedMetadata(err)
	}
	e.event(r, o, &made.Client, "client registered")
	return e.registration(r, made), nil
}

// event notes for the log what happened to a client that nobody knows.
func (e Registration) event(r *http.Request, o *tokenep.Outcome, c *tokenep.Client, what string) {
	o.Client, o.Event = c, what
	o.Details = []slog.Attr{
		slog.String("client_ip", e.Front.Address(r).String()), slog.String("name", verify.OneLine(c.Name)),
		slog.String("scope", c.Scope.String()), slog.Any("redirect_uris", c.RedirectURIs),
	}
}

// refusedMetadata is the refusal of a client that cannot be registered, for a reason of the server.
func refusedMetadata(err error) error {
	if errors.Is(err, state.ErrInvalid) {
		return tokenep.InvalidClientMetadata.Describe("these client metadata cannot be registered").Because(err)
	}
	return err
}

// authorize asks for an initial access token (RFC 7591 §3), unless the endpoint is open.
func (e Registration) authorize(r *http.Request) error {
	if len(e.InitialAccessTokens) == 0 {
		return nil
	}
	token, err := bearer(r)
	if err != nil {
		return err
	}
	hash, good := []byte(tokenep.HashSecret(token)), 0
	for _, of := range e.InitialAccessTokens {
		good |= subtle.ConstantTimeCompare([]byte(of), hash)
	}
	if good != 1 {
		return wrongToken("the initial access token is not valid")
	}
	return nil
}

// bearer returns the token in the header Authorization (RFC 6750 §2.1).
func bearer(r *http.Request) (string, error) {
	lines := r.Header.Values("Authorization")
	scheme, token, _ := strings.Cut(strings.Join(lines, ","), " ")
	switch {
	case len(lines) > 1:
		return "", tokenep.InvalidRequest.Describe("the Authorization header is repeated")
	case !strings.EqualFold(scheme, "Bearer"): // §3.1: no error code
		e := tokenep.InvalidToken.Describe("an access token is required")
		e.Challenge = `Bearer realm="registration"`
		return "", e
	}
	return strings.TrimSpace(token), nil
}

func wrongToken(description string) *tokenep.Error {
	e := tokenep.InvalidToken.Describe(description)
	e.Challenge = `Bearer realm="registration", error="invalid_token"`
	return e
}

// registration is what a client is told of its registration (RFC 7591 §3.2.1, RFC 7592 §3).
type registration struct {
	ClientID        string `json:"client_id"`
	Secret          string `json:"client_secret,omitempty"` // when it is made, and never again
	IssuedAt        int64  `json:"client_id_issued_at"`
	SecretExpiresAt *int64 `json:"client_secret_expires_at,omitempty"` // 0: never
	AccessToken     string `json:"registration_access_token,omitempty"`
	ClientURI       string `json:"registration_client_uri,omitempty"`

	Name          string          `json:"client_name,omitempty"`
	URI           string          `json:"client_uri,omitempty"`
	LogoURI       string          `json:"logo_uri,omitempty"`
	PolicyURI     string          `json:"policy_uri,omitempty"`
	TOSURI        string          `json:"tos_uri,omitempty"`
	RedirectURIs  []string        `json:"redirect_uris,omitempty"`
	PostLogout    []string        `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes    []string        `json:"grant_types"`
	ResponseTypes []string        `json:"response_types"`
	AuthMethod    string          `json:"token_endpoint_auth_method"`
	SigningAlg    string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	Scope         verify.Scope    `json:"scope,omitempty"`
	JWKS          json.RawMessage `json:"jwks,omitempty"`
	JWKSURI       string          `json:"jwks_uri,omitempty"`
	IDTokenAlg    string          `json:"id_token_signed_response_alg,omitempty"`
	RequirePAR    bool            `json:"require_pushed_authorization_requests,omitempty"`
	DPoPBound     bool            `json:"dpop_bound_access_tokens,omitempty"`
}

func (e Registration) registration(r *http.Request, made registry.Registered) *registration {
	c := &made.Client
	answer := &registration{
		ClientID: c.ID, Secret: made.Secret, IssuedAt: c.IssuedAt,
		Name: c.Name, URI: c.URI, LogoURI: c.LogoURI, PolicyURI: c.PolicyURI, TOSURI: c.TOSURI,
		RedirectURIs: c.RedirectURIs, PostLogout: c.PostLogoutRedirectURIs, GrantTypes: c.GrantTypes, ResponseTypes: []string{},
		AuthMethod: c.AuthMethod, SigningAlg: c.AuthSigningAlg, Scope: c.Scope, JWKS: c.JWKS, JWKSURI: c.JWKSURI, IDTokenAlg: c.IDTokenAlg,
		RequirePAR: c.RequirePAR, DPoPBound: c.DPoPBound,
	}
	if answer.AuthMethod == "" { // Basic, or the body: RFC 7591 §2 has no word for it
		answer.AuthMethod = tokenep.AuthBasic
	}
	if c.NeedsSecret() {
		answer.SecretExpiresAt = new(int64)
	}
	if c.May(grant.AuthorizationCodeType) {
		answer.ResponseTypes = append(answer.ResponseTypes, "code")
	}
	if made.AccessToken != "" {
		// The path is one of the configuration: others do not lead here.
		at := url.URL{Path: r.URL.Path, RawQuery: url.Values{"client_id": {c.ID}}.Encode()}
		answer.AccessToken, answer.ClientURI = made.AccessToken, e.Origin+at.EscapedPath()+"?"+at.RawQuery
	}
	return answer
}
