package tokenep

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Client authentication methods (RFC 7591 §2, OpenID Connect Core §9): the values of
// Client.AuthMethod.
const (
	AuthBasic         = "client_secret_basic"
	AuthPost          = "client_secret_post"
	AuthSecretJWT     = "client_secret_jwt"
	AuthPrivateKeyJWT = "private_key_jwt"
	AuthTLS           = "tls_client_auth"             // RFC 8705 §2.1
	AuthSelfSignedTLS = "self_signed_tls_client_auth" // RFC 8705 §2.2
	AuthNone          = "none"
)

// The values of Client.AssertionAudience.
const (
	AudienceLax    = "lax"
	AudienceStrict = "strict"
)

// authMethods are the methods that a client can be registered for.
var authMethods = []string{AuthBasic, AuthPost, AuthSecretJWT, AuthPrivateKeyJWT, AuthTLS, AuthSelfSignedTLS, AuthNone}

// Authenticates reports whether the client may authenticate by this method.
func (c *Client) Authenticates(method string) bool {
	switch {
	case len(c.AuthMethods) > 0:
		return slices.Contains(c.AuthMethods, method)
	case c.AuthMethod != "":
		return method == c.AuthMethod
	case len(c.Secrets) > 0:
		return method == AuthBasic || method == AuthPost
	case c.hasKeys():
		return method == AuthPrivateKeyJWT
	default:
		return method == AuthTLS && len(c.certificateNames()) > 0
	}
}

// NeedsSecret reports whether the client authenticates by a secret, or would if it had one: nothing
// else is said of it.
func (c *Client) NeedsSecret() bool {
	if len(c.AuthMethods) > 0 || c.AuthMethod != "" {
		return c.Authenticates(AuthBasic) || c.Authenticates(AuthPost)
	}
	return !c.hasKeys() && len(c.certificateNames()) == 0
}

// hasJWKS reports whether there is a jwks: null is none.
func (c *Client) hasJWKS() bool { return len(c.JWKS) > 0 && string(c.JWKS) != "null" }

// hasKeys reports whether there are keys, wherever.
func (c *Client) hasKeys() bool { return c.hasJWKS() || c.JWKSFile != "" || c.JWKSURI != "" }

// Public reports whether the client has nothing to authenticate with (RFC 6749 §2.1). Its method
// says so, and never the lack of a secret.
func (c *Client) Public() bool { return c.AuthMethod == AuthNone && len(c.AuthMethods) == 0 }

// ProvesKey reports whether the client authenticates by a private key or a certificate and by
// nothing else, so that whoever copies what it sends cannot do so.
func (c *Client) ProvesKey() bool {
	var proves bool
	for _, method := range authMethods {
		switch {
		case !c.Authenticates(method):
		case method == AuthPrivateKeyJWT, method == AuthTLS, method == AuthSelfSignedTLS:
			proves = true
		default:
			return false
		}
	}
	return proves
}

// validateAuth holds the methods against what there is to authenticate with.
func (c *Client) validateAuth() error {
	given := 0
	for _, is := range []bool{len(c.Secrets) > 0, c.hasKeys(), len(c.certificateNames()) > 0} {
		if is {
			given++
		}
	}
	switch {
	case c.AuthMethod != "" && len(c.AuthMethods) > 0:
		return errors.New("auth_method and auth_methods exclude each other")
	case len(c.AuthMethods) > 0 && slices.Contains(c.AuthMethods, AuthNone):
		return errors.New("none cannot be one of several auth_methods; write auth_method none if the client is public")
	case slices.Contains(c.AuthMethods, AuthTLS) && slices.Contains(c.AuthMethods, AuthSelfSignedTLS):
		return errors.New("tls_client_auth and self_signed_tls_client_auth exclude each other: a request does not say which of them it uses")
	case c.Public() && given > 0:
		return errors.New("auth_method none and a secret, key or certificate exclude one another")
	case c.Public() && c.InsecureNoPKCE:
		return errors.New("insecure_no_pkce is for clients that authenticate: without PKCE nothing ties a code to a public one")
	case len(c.AuthMethods) > 0:
		return c.validateMethods("auth_methods", c.AuthMethods)
	case c.AuthMethod != "":
		return c.validateMethods("auth_method", []string{c.AuthMethod})
	case given > 1:
		return errors.New("it has several of a secret, a key and the name of a certificate; its auth_method must say which of them authenticates it")
	case given == 0:
		return errors.New("it has neither a secret nor a key: give it one, or write auth_method none if it is public")
	}
	return nil
}

// validateMethods holds the methods of an option against what there is.
func (c *Client) validateMethods(option string, methods []string) error {
	for _, method := range methods {
		switch method {
		case AuthBasic, AuthPost, AuthSecretJWT:
			if len(c.Secrets) == 0 {
				return fmt.Errorf("%s %s needs a secret", option, method)
			}
		case AuthPrivateKeyJWT, AuthSelfSignedTLS:
			if !c.hasKeys() {
				return fmt.Errorf("%s %s needs a key", option, method)
			}
		case AuthTLS:
			if len(c.certificateNames()) == 0 {
				return fmt.Errorf("%s %s needs a name in the certificate, such as tls_client_auth_subject_dn", option, method)
			}
		case AuthNone:
		default:
			return fmt.Errorf("unknown %s %q; expected one of %s", option, method, strings.Join(authMethods, ", "))
		}
	}
	return nil
}

// validateKeys checks the keys.
func (c *Client) validateKeys() error {
	places := 0
	for _, given := range []bool{c.hasJWKS(), c.JWKSFile != "", c.JWKSURI != ""} {
		if given {
			places++
		}
	}
	if places > 1 {
		return errors.New("jwks, jwks_file and jwks_uri exclude one another (RFC 7591 §2)")
	}
	if c.hasJWKS() {
		if err := checkJWKS(c.JWKS); err != nil {
			return fmt.Errorf("jwks: %w", err)
		}
	}
	if c.JWKSURI != "" {
		if err := verify.CheckJWKSURI(c.JWKSURI); err != nil {
			return err
		}
	}
	return nil
}

// validateAssertions checks what is said of the assertions by which it authenticates.
func (c *Client) validateAssertions() error {
	var algorithms []string
	if c.Authenticates(AuthPrivateKeyJWT) {
		algorithms = verify.Algorithms()
	}
	if c.Authenticates(AuthSecretJWT) {
		algorithms = append(algorithms, verify.MACAlgorithms()...)
	}
	switch {
	case c.AssertionAudience != "" && c.AssertionAudience != AudienceLax && c.AssertionAudience != AudienceStrict:
		return fmt.Errorf("assertion_audience must be %s or %s", AudienceLax, AudienceStrict)
	case (c.AuthSigningAlg != "" || c.AssertionAudience != "") && len(algorithms) == 0:
		return errors.New("auth_signing_alg and assertion_audience are for clients that authenticate by private_key_jwt or client_secret_jwt")
	case c.AuthSigningAlg != "" && !slices.Contains(algorithms, verify.CanonicalAlgorithm(c.AuthSigningAlg)):
		return fmt.Errorf("auth_signing_alg must be one of %s", strings.Join(algorithms, ", "))
	}
	return nil
}

// checkJWKS refuses a set without a usable key, and one with a secret key in it: what is registered
// is stored and shown.
func checkJWKS(jwks []byte) error {
	keys, dropped, err := verify.ParseKeySet(jwks)
	if err != nil {
		return err
	}
	for _, reason := range dropped {
		if errors.Is(reason, verify.ErrSecretKey) {
			return reason
		}
	}
	if keys.Len() == 0 {
		return errors.New("it has no usable key")
	}
	return nil
}
