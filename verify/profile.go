package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Profile says what the tokens of an issuer are like, where the options of the [TrustedIssuer] do
// not say otherwise.
//
//	                       rfc9068                  jwt
//	typ                    at+jwt                   at+jwt, JWT or none
//	sub                    required                 may be missing
//	scope                  RFC 6749 §3.3            also a list, or with runs of spaces; else scp
//	odd optional claims    refused                  read as absent
//	jku, jwk, x5u, x5c     refused                  ignored
//	not an access token    events, at_hash, c_hash  also token_use=id, typ=ID and their like
type Profile string

// The profiles.
const (
	ProfileRFC9068 Profile = "rfc9068" // JWT access tokens of RFC 9068; the default
	ProfileJWT     Profile = "jwt"     // JWTs that do not say that they are something else
)

// leniency is a deviation from RFC 9068 that an issuer may be permitted.
type leniency int

const (
	missingSubject leniency = iota // sub is absent, null, empty or not a string
	looseScope                     // scope is not as RFC 6749 §3.3 writes it
	oddClaims                      // an optional claim is null or of a wrong type
	headerKeys                     // the header has members that are not read
	leniencies
)

// leniencyOptions are the names of the options in a configuration.
var leniencyOptions = [leniencies]string{
	"allow_missing_sub", "allow_loose_scope", "allow_odd_claims", "allow_header_keys",
}

// deviations has the reason for each deviation from RFC 9068 that a token shows; nil for none. They
// are facts about the bytes, and the same for every verifier.
type deviations [leniencies]error

// note records the first reason for a deviation.
func (d *deviations) note(kind leniency, reason error) {
	if d[kind] == nil {
		d[kind] = reason
	}
}

// ClaimPattern is a claim that a token has, with a certain value if the pattern names one.
type ClaimPattern struct {
	name, value string // name as it is written
	path        ClaimPath
	valued      bool
}

var errPattern = errors.New("a claim is written as its name, or as name=value")

// ParseClaimPatterns reads patterns: each is a path as [ParseClaimPath] reads it, or a path, "="
// and the value of a string, number or boolean, or of an element of a list.
func ParseClaimPatterns(texts []string) ([]ClaimPattern, error) {
	patterns := make([]ClaimPattern, len(texts))
	for i, text := range texts {
		name, value, valued := strings.Cut(text, "=")
		if name == "" || valued && value == "" {
			return nil, fmt.Errorf("%q: %w", text, errPattern)
		}
		path, err := ParseClaimPath(name)
		if err != nil {
			return nil, err
		}
		patterns[i] = ClaimPattern{name, value, path, valued}
	}
	return patterns, nil
}

// Matches reports whether t has the claim. A list matches if one of its elements does.
func (p *ClaimPattern) Matches(t *Token) bool {
	claim, present := t.Claim(p.path...)
	if !present || !p.valued {
		return present
	}
	if list, ok := claim.([]any); ok {
		return slices.ContainsFunc(list, p.equals)
	}
	return p.equals(claim)
}

func (p *ClaimPattern) equals(claim any) bool {
	switch claim := claim.(type) {
	case string:
		return claim == p.value
	case json.Number:
		return string(claim) == p.value
	case bool:
		return claim == (p.value == "true") && (p.value == "true" || p.value == "false")
	}
	return false
}

// String returns the pattern as it is written.
func (p *ClaimPattern) String() string {
	if p.valued {
		return p.name + "=" + p.value
	}
	return p.name
}

// Claims of what is not an access token. events is in security event tokens, which include logout
// tokens (RFC 8417 §2.2), at_hash and c_hash in ID tokens (OpenID Connect Core §3.3.2.11). The
// others say what a token is: in Amazon Cognito, in Keycloak, and in ForgeRock AM.
var (
	refusedRFC9068 = []string{"events", "at_hash", "c_hash"}
	refusedJWT     = []string{"events", "at_hash", "c_hash", "s_hash", "token_use=id",
		"typ=ID", "typ=Refresh", "typ=Offline", "typ=Logout", "tokenName=id_token",
		"tokenName=refresh_token"}
)

// terms are what a TrustedIssuer says, with the defaults of its profile filled in.
type terms struct {
	types             []string
	permits           [leniencies]bool
	refused, required []ClaimPattern
}

// terms returns the terms of i under profile.
func (i *TrustedIssuer) terms(profile Profile) (terms, error) {
	t := terms{permits: [leniencies]bool{
		missingSubject: i.AllowMissingSubject, looseScope: i.AllowLooseScope,
		oddClaims: i.AllowOddClaims, headerKeys: i.AllowHeaderKeys,
	}}
	types, refused := []string{"at+jwt"}, refusedRFC9068
	switch profile {
	case "", ProfileRFC9068:
	case ProfileJWT:
		types, refused = []string{"at+jwt", "jwt", ""}, refusedJWT
		t.permits = [leniencies]bool{true, true, true, true}
	default:
		return t, fmt.Errorf("the profile must be %s or %s, and is %q", ProfileRFC9068, ProfileJWT, profile)
	}
	if len(i.Types) > 0 {
		types = i.Types
	}
	for _, typ := range types {
		t.types = append(t.types, mediaType(typ))
	}
	if i.RefuseClaims != nil {
		refused = i.RefuseClaims
	}
	var err error
	if t.refused, err = ParseClaimPatterns(refused); err != nil {
		return t, err
	}
	t.required, err = ParseClaimPatterns(i.RequireClaims)
	return t, err
}

// refuses returns the first of the refused claims that token has, or nil. A null is as good as
// absent where odd claims are permitted.
func (t *terms) refuses(token *Token) *ClaimPattern {
	for i := range t.refused {
		p := &t.refused[i]
		if !p.Matches(token) {
			continue
		}
		if claim, _ := token.Claim(p.path...); claim == nil && t.permits[oddClaims] {
			continue
		}
		return p
	}
	return nil
}

// lacks returns the first of the required claims that token does not have, or nil.
func (t *terms) lacks(token *Token) *ClaimPattern {
	for i := range t.required {
		p := &t.required[i]
		claim, _ := token.Claim(p.path...)
		if claim == nil || !p.Matches(token) || p.name == "iat" && token.IssuedAt.IsZero() {
			return p
		}
	}
	return nil
}

// options returns the options that would let token in, of those that t lacks.
func (t *terms) options(token *Token) []string {
	var options []string
	if typ := token.Header.Type; !slices.Contains(t.types, typ) {
		options = append(options, "types "+typeOption(typ))
	}
	for kind, reason := range token.deviations {
		if reason != nil && !t.permits[kind] {
			options = append(options, leniencyOptions[kind])
		}
	}
	if t.refuses(token) != nil {
		rest := *t
		rest.refused = slices.Clone(t.refused)
		for p := rest.refuses(token); p != nil; p = rest.refuses(token) {
			rest.refused = slices.DeleteFunc(rest.refused, func(other ClaimPattern) bool { return other.String() == p.String() })
		}
		names := []string{"refuse_claims"}
		for i := range rest.refused {
			names = append(names, rest.refused[i].String())
		}
		if len(names) == 1 {
			names = append(names, "none")
		}
		options = append(options, strings.Join(names, " "))
	}
	return options
}

// typeOption returns typ as the option types takes it. The token may be forged: a value that is not
// like that of a media type is not shown.
func typeOption(typ string) string {
	if typ == "" {
		return "none"
	}
	if len(typ) > 64 || strings.ContainsFunc(typ, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("+-._/", c)
	}) {
		return "<typ of the token>"
	}
	return typ
}

// remedy returns which options would let token in, for the log; empty if none would.
func (i *TrustedIssuer) remedy(token *Token) string {
	options := i.own.options(token)
	text := strings.Join(options, " and ") // each is a line; a comma would be a part of one
	if i.Profile == ProfileJWT || len(options) == 0 {
		return text
	}
	loose, err := i.terms(ProfileJWT)
	if err != nil || len(loose.options(token)) > 0 {
		return text
	}
	return "profile jwt; or " + text
}

// reading returns token as the issuer's profile reads it.
func (i *TrustedIssuer) reading(token *Token) *Token {
	if i.spiffe {
		svid := *token
		svid.Issuer = i.Name
		return &svid
	}
	if token.loose != nil && i.own.permits[looseScope] {
		return token.loose
	}
	return token
}
