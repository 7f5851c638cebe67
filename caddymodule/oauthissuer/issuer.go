package oauthissuer

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify"
)

// TrustedIssuer is an authorization server elsewhere, whose tokens are accepted.
type TrustedIssuer struct {
	// The issuer identifier. iss must be equal to it, byte for byte. Required.
	Issuer string `json:"issuer"`

	// A file with its JWK Set (RFC 7517 §5). It is read again when it changes; while the new
	// version is broken, the old one stays in use. One of jwks_file, jwks_uri, discovery,
	// discovery_url, jwks and hmac_secrets says where the keys are. Default: none.
	JWKSFile string `json:"jwks_file,omitempty"`

	// The URL of its JWK Set, which is https; http is for loopback hosts. It is fetched when the
	// first token comes, every four minutes or so while tokens come, and for a kid that is not
	// known. While it cannot be fetched, the last good version stays in use for a day. No redirect
	// is followed, and no proxy used. Default: none.
	JWKSURI string `json:"jwks_uri,omitempty"`

	// Find that URL in the metadata of the issuer: at /.well-known/openid-configuration behind its
	// path, or at /.well-known/oauth-authorization-server before its path if that is not there
	// (OpenID Connect Discovery 1.0 §4.1, RFC 8414 §3.1). Its issuer must be this one, byte for
	// byte. It is fetched when the first token comes, under the rules of jwks_uri, and again twice
	// a day, or sooner when the key set is gone or has not got the key of a token. Default: false.
	Discovery bool `json:"discovery,omitempty"`

	// The URL of such metadata, for an issuer that has it elsewhere. Default: none.
	DiscoveryURL string `json:"discovery_url,omitempty"`

	// The JWK Set itself, which changes with the configuration alone. Default: none.
	JWKS json.RawMessage `json:"jwks,omitempty"`

	// Secrets that it signs with in the place of a key, by an HMAC (RFC 7518 §3.2): any of them is
	// accepted, for one of algorithms, which are HS256 alone if there are none. Each has 32 bytes
	// at least, 48 for HS384 and 64 for HS512; a placeholder keeps it out of the configuration.
	// Whoever knows one can make tokens, so that keys are better. Default: none.
	HMACSecrets []string `json:"hmac_secrets,omitempty"`

	// Special-use addresses (RFC 6890), or blocks of them such as 10.0.0.0/8, from which that set
	// and the metadata may be fetched. Default: none, but those of the loopback interface for a URL
	// on localhost.
	KeyAddresses []string `json:"key_addresses,omitempty"`

	// The names of this resource in tokens of the issuer. Default: the audience of the handler.
	Audience []string `json:"audience,omitempty"`

	// The claim that has the audience, where it is not aud: client_id, azp or cid of issuers that
	// name the client alone. Default: aud.
	AudienceClaim string `json:"audience_claim,omitempty"`

	// The algorithms that are accepted, of those that its keys are for. Default: all of them.
	Algorithms []string `json:"algorithms,omitempty"`

	// What the tokens of the issuer are like where the options below do not say otherwise: rfc9068,
	// for JWT access tokens of that RFC; or jwt, for any JWT that does not say that it is something
	// else. Default: rfc9068.
	Profile string `json:"profile,omitempty"`

	// The values of typ that are accepted; none stands for a token without typ. Default: at+jwt
	// alone (RFC 9068 §4); with profile jwt also JWT and none.
	Types []string `json:"types,omitempty"`

	// Claims of which a token must have all. Each is a name, or name=value for a string, a number,
	// a boolean, or an element of a list; a name may be a path with dots. Default: none.
	RequireClaims []string `json:"require_claims,omitempty"`

	// Claims of which a token must have none, written likewise; the word none alone refuses
	// nothing. Default: the marks of what is not an access token, which are events, at_hash and
	// c_hash; with profile jwt also s_hash, token_use=id, typ=ID, typ=Refresh, typ=Offline,
	// typ=Logout, tokenName=id_token and tokenName=refresh_token. A list of your own replaces them
	// all: it should name events, which logout tokens have.
	RefuseClaims []string `json:"refuse_claims,omitempty"`

	// Accept tokens without a sub that is a string. Default: false; with profile jwt true.
	AllowMissingSub bool `json:"allow_missing_sub,omitempty"`

	// Accept a scope of any form. A list of strings and runs of spaces are read, anything else is
	// an empty scope; where there is no scope, scp is read. Default: false; with profile jwt true.
	AllowLooseScope bool `json:"allow_loose_scope,omitempty"`

	// Accept optional claims that are null or of a wrong type, and read them as absent: client_id,
	// jti, aud and iat, also if that is in milliseconds; nbf and cnf if they are null. Default:
	// false; with profile jwt true.
	AllowOddClaims bool `json:"allow_odd_claims,omitempty"`

	// Accept header members that are ignored: jwk, jku, x5u and x5c, which would name another key,
	// and the zip NONE. The header may be longer then: 16 KiB in place of 2 KiB, within
	// max_token_size. Default: false; with profile jwt true.
	AllowHeaderKeys bool `json:"allow_header_keys,omitempty"`

	// Accept tokens without kid, or with an empty one, if the issuer has only one key. Default:
	// false.
	AllowMissingKID bool `json:"allow_missing_kid,omitempty"`

	share Share // of the keys that are fetched
}

// Check returns what is wrong with the options that are known so far, but for where the keys are.
func (t *TrustedIssuer) Check() error {
	if err := t.checkLists(); err != nil {
		return err
	}
	issuer := t.Trust()
	issuer.Keys, issuer.InsecureAnyAudience = new(verify.StaticKeys), true // what comes later
	if len(t.HMACSecrets) > 0 || len(t.Algorithms) > 0 && !slices.ContainsFunc(t.Algorithms, isNoMAC) {
		issuer.Keys, issuer.Secrets = nil, t.literalSecrets()
	}
	_, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{issuer}})
	return err
}

var (
	errNoKeys  = errors.New("jwks_file, jwks_uri, discovery or jwks is missing: where its public keys are")
	errTwoKeys = errors.New("jwks_file, jwks_uri, discovery, jwks and hmac_secret exclude each other")
)

// errNoSecret keeps a public key from being taken for a secret.
var errNoSecret = errors.New("algorithms that use a secret need hmac_secret")

func isMAC(alg string) bool { return slices.Contains(verify.MACAlgorithms(), alg) }

func isNoMAC(alg string) bool { return !isMAC(alg) }

// literalSecrets returns the secrets, with something that is long enough in the place of
// placeholders and of those that come later.
func (t *TrustedIssuer) literalSecrets() (secrets [][]byte) {
	for _, secret := range t.HMACSecrets {
		if adapt.IsLiteral(secret) {
			secrets = append(secrets, []byte(secret))
		}
	}
	return append(secrets, make([]byte, 64))
}

// CheckKeys returns an error unless it is said, once, where the keys are.
func (t *TrustedIssuer) CheckKeys() error {
	if !t.NamesKeys() {
		return errNoKeys
	}
	return t.checkKeys()
}

// NamesKeys reports whether it is said where the keys are.
func (t *TrustedIssuer) NamesKeys() bool { return t.keySources() > 0 }

func (t *TrustedIssuer) keySources() (said int) {
	for _, here := range [...]bool{t.JWKSFile != "", t.JWKSURI != "", t.Discovery, t.DiscoveryURL != "", len(t.JWKS) > 0, len(t.HMACSecrets) > 0} {
		if here {
			said++
		}
	}
	return said
}

// checkKeys returns what is wrong with what is said of the keys.
func (t *TrustedIssuer) checkKeys() error {
	switch {
	case t.keySources() > 1:
		return errTwoKeys
	case len(t.JWKS) > 0:
		_, _, err := t.inline()
		return err
	case len(t.HMACSecrets) == 0 && slices.ContainsFunc(t.Algorithms, isMAC):
		return errNoSecret
	case t.Discovery && adapt.IsLiteral(t.Issuer):
		return verify.CheckDiscovery(t.Issuer)
	}
	return nil
}

// Trust returns the issuer without resolving placeholders and without its keys.
func (t *TrustedIssuer) Trust() verify.TrustedIssuer {
	trusted := verify.TrustedIssuer{
		Name: t.Issuer, Algorithms: t.Algorithms, AudienceClaim: t.AudienceClaim, Profile: verify.Profile(t.Profile),
		Types: slices.Clone(t.Types), RequireClaims: t.RequireClaims, RefuseClaims: t.RefuseClaims,
		AllowMissingSubject: t.AllowMissingSub, AllowLooseScope: t.AllowLooseScope, AllowOddClaims: t.AllowOddClaims,
		AllowHeaderKeys: t.AllowHeaderKeys, AllowMissingKeyID: t.AllowMissingKID,
	}
	for i, typ := range trusted.Types {
		if typ == none {
			trusted.Types[i] = ""
		}
	}
	if len(t.RefuseClaims) == 1 && t.RefuseClaims[0] == none {
		trusted.RefuseClaims = []string{} // nil would stand for the default
	}
	return trusted
}

// checkLists refuses placeholders that nobody would resolve, and commas between names: a claim that
// is never there refuses nothing.
func (t *TrustedIssuer) checkLists() error {
	for _, o := range []struct {
		option string
		values []string
		check  func([]string, adapt.Written) error // nil: it is not a list
	}{
		{"algorithms", t.Algorithms, names("algorithms")},
		{"types", t.Types, names("types")},
		{"audience_claim", []string{t.AudienceClaim}, nil},
		{"require_claims", t.RequireClaims, adapt.CheckClaims},
		{"refuse_claims", t.RefuseClaims, adapt.CheckClaims},
	} {
		err := adapt.RefusePlaceholders(o.option, o.values)
		if err == nil && o.check != nil {
			err = o.check(o.values, adapt.Line(o.option))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// names returns the check for a list of names.
func names(what string) func([]string, adapt.Written) error {
	return func(values []string, right adapt.Written) error { return adapt.CheckNames(values, what, right) }
}

// none is the word for no value in an option that takes a list.
const none = "none"
