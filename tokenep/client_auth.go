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
	AuthPrivateKeyJWT = "private_key_jwt"
	AuthNone          = "none"
)

// The values of Client.AssertionAudience.
const (
	AudienceLax    = "lax"
	AudienceStrict = "strict"
)

// authMethods are the methods that a client can be registered for.
var authMethods = []string{AuthBasic, AuthPost, AuthPrivateKeyJWT, AuthNone}

// Authenticates reports whether the client may authenticate by this method.
func (c *Client) Authenticates(method string) bool {
	switch {
	case len(c.AuthMethods) > 0:
		return slices.Contains(c.AuthMethods, method)
	case c.AuthMethod != "":
		return method == c.AuthMethod
	case len(c.Secrets) > 0:
		return method == AuthBasic || method == AuthPost
	default:
		return c.hasKeys() && method == AuthPrivateKeyJWT
	}
}

// NeedsSecret reports whether the client authenticates by a secret, or would if it had one: nothing
// else is said of it.
func (c *Client) NeedsSecret() bool {
	if len(c.AuthMethods) > 0 || c.AuthMethod != "" {
		return c.Authenticates(AuthBasic) || c.Authenticates(AuthPost)
	}
	return !c.hasKeys()
}

// hasJWKS reports whether there is a jwks: null is none.
func (c *Client) hasJWKS() bool { return len(c.JWKS) > 0 && string(c.JWKS) != "null" }

// hasKeys reports whether there are keys, wherever.
func (c *Client) hasKeys() bool { return c.hasJWKS() || c.JWKSFile != "" || c.JWKSURI != "" }

// Public reports whether the client has nothing to authenticate with (RFC 6749 §2.1). Its method
// says so, and never the lack of a secret.
func (c *Client) Public() bool { return c.AuthMethod == AuthNone && len(c.AuthMethods) == 0 }

// validateAuth holds the methods against what there is to authenticate with.
func (c *Client) validateAuth() error {
	secret, key := len(c.Secrets) > 0, c.hasKeys()
	switch {
	case c.AuthMethod != "" && len(c.AuthMethods) > 0:
		return errors.New("auth_method and auth_methods exclude each other")
	case len(c.AuthMethods) > 0 && slices.Contains(c.AuthMethods, AuthNone):
		return errors.New("none cannot be one of several auth_methods; write auth_method none if the client is public")
	case c.Public() && (secret || key):
		return errors.New("auth_method none and a secret or key exclude each other")
	case c.Public() && c.InsecureNoPKCE:
		return errors.New("insecure_no_pkce is for clients that authenticate: without PKCE nothing ties a code to a public one")
	case len(c.AuthMethods) > 0:
		return c.validateMethods("auth_methods", c.AuthMethods)
	case c.AuthMethod != "":
		return c.validateMethods("auth_method", []string{c.AuthMethod})
	case secret && key:
		return errors.New("it has secrets and a key; its auth_method must say which of them authenticates it")
	case !secret && !key:
		return errors.New("it has neither a secret nor a key: give it one, or write auth_method none if it is public")
	}
	return nil
}

// validateMethods holds the methods of an option against what there is.
func (c *Client) validateMethods(option string, methods []string) error {
	secret, key := len(c.Secrets) > 0, c.hasKeys()
	for _, method := range methods {
		switch {
		case !slices.Contains(authMethods, method):
			return fmt.Errorf("unknown %s %q; expected one of %s", option, method, strings.Join(authMethods, ", "))
		case (method == AuthBasic || method == AuthPost) && !secret:
			return fmt.Errorf("%s %s needs a secret", option, method)
		case method == AuthPrivateKeyJWT && !key:
			return fmt.Errorf("%s %s needs a key", option, method)
		}
	}
	return nil
}

// validateKeys checks the keys, and what is said of assertions that they sign.
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
	algorithms := verify.Algorithms()
	switch {
	case c.AuthSigningAlg != "" && !slices.Contains(algorithms, verify.CanonicalAlgorithm(c.AuthSigningAlg)):
		return fmt.Errorf("auth_signing_alg must be one of %s", strings.Join(algorithms, ", "))
	case c.AssertionAudience != "" && c.AssertionAudience != AudienceLax && c.AssertionAudience != AudienceStrict:
		return fmt.Errorf("assertion_audience must be %s or %s", AudienceLax, AudienceStrict)
	case (c.AuthSigningAlg != "" || c.AssertionAudience != "") && !c.Authenticates(AuthPrivateKeyJWT):
		return errors.New("auth_signing_alg and assertion_audience are for clients that authenticate by private_key_jwt")
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
