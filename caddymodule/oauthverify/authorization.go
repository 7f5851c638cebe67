package oauthverify

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/internal/remote"
	"github.com/tokenep/caddy-tokenep/tokenep/upstream"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// Authorization says what goes to the upstream in the place of the token: one of keep, token,
// basic, value, file, ask and exchange. Without any of them nothing does.
type Authorization struct {
	// The token itself. Default: false.
	Keep bool `json:"keep,omitempty"`

	// A short access token for the upstream, which the oauth_server of this process makes. Default:
	// none.
	Token *MintedToken `json:"token,omitempty"`

	// A user name and a password (RFC 7617), for everybody or made of claims. Default: none.
	Basic *BasicCredential `json:"basic,omitempty"`

	// A credential such as an API key, with placeholders. Those of the request are replaced for
	// each request, and where one is empty the answer is 403. Default: none.
	Value string `json:"value,omitempty"`

	// A file with the credentials of people: a JSON object that has a string for each subject. It
	// is read again when it changes. Who is not in it gets 403. Default: none.
	File string `json:"file,omitempty"`

	// A program that knows the credentials of people. Default: none.
	Ask *AskedCredential `json:"ask,omitempty"`

	// A token of another authorization server (RFC 8693). Default: none.
	Exchange *ExchangedToken `json:"exchange,omitempty"`

	// Where the credential goes: bearer, in Authorization (RFC 6750); basic, there too (RFC 7617),
	// for what is a user name, a colon and a password; or header, cookie or query. What clients
	// send there is removed. Default: bearer for tokens, basic for basic; others require it.
	Send string `json:"send,omitempty"`

	// The name of the header, the cookie, or the parameter of the query. Required where send is one
	// of these.
	Field string `json:"field,omitempty"`

	// The authentication scheme before the credential, in a header. Default: none.
	Scheme string `json:"scheme,omitempty"`
}

// BasicCredential is a user name and a password. Placeholders are replaced for each request; a user
// name with a colon is refused with 403.
type BasicCredential struct {
	// The user name. Required.
	User string `json:"user"`

	// The password. Required.
	Password string `json:"password"`
}

// MintedToken is a token for the upstream. It has the sub and the client_id of the token, and is
// revoked with it.
type MintedToken struct {
	// The names of the upstream in aud, none of which is an audience of the route. Required.
	Audience []string `json:"audience"`

	// How long it is good, 10s to 1h, but never longer than the token. Default: 1m.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// The claims of the token that it has too. Default: act and scope.
	Claims []string `json:"claims,omitempty"`

	// How many tokens are remembered, at most. Default: 10000.
	CacheEntries int `json:"cache_entries,omitempty"`
}

// AskedCredential asks a program by POST with a JSON object of iss, sub and client_id. Its answer
// is 200 with a JSON object, or 404 where there is no credential: then the client gets 403.
type AskedCredential struct {
	// The URL of the program. Required.
	URL string `json:"url"`

	// Further fields of each request, with placeholders. Default: none.
	Header map[string]string `json:"header,omitempty"`

	// The member of the answer that is the credential, with dots into objects. Default: credential.
	Member string `json:"member,omitempty"`

	// How long an answer is remembered, 1s to 1h. Default: 1m.
	Cache caddy.Duration `json:"cache,omitempty"`

	// How many credentials are remembered, at most. Default: 10000.
	CacheEntries int `json:"cache_entries,omitempty"`

	Elsewhere
}

// ExchangedToken is a token of another server, for the one that the client has. It is asked for
// once, and remembered for nine tenths of its life, but no longer than the client's is taken.
type ExchangedToken struct {
	Endpoint

	// The server that takes an ID-JAG for an access token; the first one then gives the ID-JAG.
	// Default: none, and the first one gives the access token.
	Assert *Endpoint `json:"assert,omitempty"`

	// The parameters audience, resource and scope of the request. Default: none.
	Audience []string `json:"audience,omitempty"`
	Resource []string `json:"resource,omitempty"`
	Scope    []string `json:"scope,omitempty"`

	// What the token of the client is called there (RFC 8693 §3). Default: an access token.
	SubjectTokenType string `json:"subject_token_type,omitempty"`

	// How many tokens are remembered, at most. Default: 10000.
	CacheEntries int `json:"cache_entries,omitempty"`

	Elsewhere
}

// Endpoint is a token endpoint, and how this process is known there.
type Endpoint struct {
	// Its URL. Required.
	URL string `json:"url"`

	// The client_id. Required.
	ClientID string `json:"client_id"`

	// The secret, with placeholders. Default: the client has none.
	ClientSecret string `json:"client_secret,omitempty"`

	// Send the secret in the form (client_secret_post). Default: in Authorization.
	PostSecret bool `json:"post_secret,omitempty"`
}

// Elsewhere says how a program elsewhere is asked.
type Elsewhere struct {
	// Blocks of special-use addresses where the program may be, such as 10.0.0.0/8. Default: none
	// but the one that the URL names.
	Addresses []string `json:"addresses,omitempty"`

	// Ask over http on another machine. Default: false.
	InsecureHTTP bool `json:"insecure_http,omitempty"`

	remote.Connection
}

// options returns how a URL is asked.
func (e *Elsewhere) options(module, target string) (o outbound.Options, err error) {
	if o, err = e.Resolve(module); err != nil {
		return o, err
	}
	addresses, err := verify.ParseAddresses(e.Addresses)
	if err != nil {
		return o, fmt.Errorf("%s: addresses: %w", module, err)
	}
	o.Control = verify.DialControl(append(addresses, outbound.Named(target)...), outbound.Loopback(target))
	return o, nil
}

// kind returns the name of what replaces the token; empty: nothing does. An error says that two do.
func (a *Authorization) kind() (string, error) {
	if a == nil {
		return "", nil
	}
	var kinds []string
	for _, k := range []struct {
		name string
		set  bool
	}{{"keep", a.Keep}, {"token", a.Token != nil}, {"basic", a.Basic != nil}, {"value", a.Value != ""}, {"file", a.File != ""},
		{"ask", a.Ask != nil}, {"exchange", a.Exchange != nil}} {
		if k.set {
			kinds = append(kinds, k.name)
		}
	}
	if len(kinds) > 1 {
		return "", fmt.Errorf("authorization: %s cannot both stand in one place", strings.Join(kinds, " and "))
	}
	return strings.Join(kinds, ""), nil
}

// The values of Send.
const (
	sendBearer = "bearer"
	sendBasic  = "basic"
)

// place returns where the credential goes and how it is written, without the credential.
func (a *Authorization) place(kind string) (*verify.Replacement, upstream.Form, error) {
	send := a.Send
	switch {
	case send != "":
	case kind == "token" || kind == "exchange":
		send = sendBearer
	case kind == "basic":
		send = sendBasic
	default:
		return nil, nil, fmt.Errorf("authorization %s: send is missing, which says where it goes: bearer, basic, header, cookie or query", kind)
	}
	if (a.Field == "") != (send == sendBearer || send == sendBasic) {
		return nil, nil, fmt.Errorf("authorization %s: send %s: the name of the field is missing, or is too much", kind, send)
	}
	if a.Scheme != "" && (send != string(verify.InHeader) || remote.CheckField(a.Scheme) != nil) {
		return nil, nil, fmt.Errorf("authorization %s: send %s: %q cannot stand before the credential", kind, send, a.Scheme)
	}
	switch send {
	case sendBearer:
		return &verify.Replacement{In: verify.InHeader, Name: "Authorization"}, upstream.Scheme("Bearer"), nil
	case sendBasic:
		return &verify.Replacement{In: verify.InHeader, Name: "Authorization"}, upstream.Basic, nil
	}
	var form upstream.Form
	if a.Scheme != "" {
		form = upstream.Scheme(a.Scheme)
	}
	return &verify.Replacement{In: verify.Place(send), Name: a.Field}, form, nil
}

// check returns what is wrong with what is known before placeholders are resolved, and where the
// credential goes.
func (a *Authorization) check() (*verify.Replacement, error) {
	kind, err := a.kind()
	if err != nil || kind == "" || kind == "keep" {
		if err == nil && a != nil && a.Send != "" {
			err = errors.New("authorization: send is for a credential in the place of the token")
		}
		return nil, err
	}
	replacement, form, err := a.place(kind)
	if err != nil {
		return nil, err
	}
	switch {
	case a.Token != nil:
		err = a.Token.options(form).Validate()
	case a.Ask != nil:
		err = cmp.Or(a.Ask.checkHeader(), a.Ask.literal(form).Validate())
	case a.Exchange != nil:
		err = a.Exchange.literal(form).Validate()
	case a.Basic != nil && (a.Basic.User == "" || a.Basic.Password == ""):
		err = errors.New("a user and a password")
	case a.Basic != nil && a.Send != "" && a.Send != sendBasic:
		err = errors.New("send basic is the only place")
	}
	if err != nil {
		return nil, fmt.Errorf("authorization %s: %w", kind, err)
	}
	return replacement, nil
}

func (t *MintedToken) options(form upstream.Form) upstream.MintedOptions {
	return upstream.MintedOptions{Audience: t.Audience, TTL: duration(t.TTL), Claims: t.Claims, Form: form, Entries: t.CacheEntries}
}

func (c *AskedCredential) checkHeader() error {
	for name := range c.Header {
		if err := remote.CheckField(name); err != nil {
			return err
		}
		if http.CanonicalHeaderKey(name) == "Content-Type" {
			return errors.New("header Content-Type: it is that of JSON")
		}
	}
	return nil
}

// literal returns the options with something that is good in the place of placeholders.
func (c *AskedCredential) literal(form upstream.Form) upstream.AskedOptions {
	return upstream.AskedOptions{URL: literalURL(c.URL), Member: c.Member, Good: duration(c.Cache), Form: form,
		InsecureHTTP: c.InsecureHTTP, Connection: c.Options(), Entries: c.CacheEntries}
}

func (x *ExchangedToken) literal(form upstream.Form) upstream.FetchedOptions {
	o := upstream.FetchedOptions{
		Exchange: x.Endpoint.literal(), SubjectTokenType: x.SubjectTokenType, Audience: x.Audience, Resource: x.Resource,
		Scope: x.Scope, Form: form, InsecureHTTP: x.InsecureHTTP, Entries: x.CacheEntries,
	}
	o.Exchange.Connection = x.Options()
	if x.Assert != nil {
		o.Assert = x.Assert.literal()
		o.Assert.Connection = x.Options()
		if o.Assert.URL == "" {
			o.Assert.URL = "missing"
		}
	}
	return o
}

func (e *Endpoint) literal() upstream.Endpoint {
	return upstream.Endpoint{URL: literalURL(e.URL), ClientID: e.ClientID, ClientSecret: e.ClientSecret, PostSecret: e.PostSecret}
}

func literalURL(text string) string {
	if text != "" && !adapt.IsLiteral(text) {
		return "https://any.invalid/"
	}
	return text
}

// byPerson reports whether the credential is found by claims of the token.
func (a *Authorization) byPerson() bool {
	values := a.Value
	if a.Basic != nil {
		values = a.Basic.User + a.Basic.Password
	}
	return a.File != "" || a.Ask != nil || strings.Contains(values, "{"+userPlaceholder)
}

// checkIssuers returns why the credential cannot be chosen by the tokens of these issuers.
func (a *Authorization) checkIssuers(issuers []verify.TrustedIssuer, own string) error {
	kind, _ := a.kind()
	if len(issuers) > 1 && a.byPerson() {
		return fmt.Errorf("authorization %s: one issuer must be trusted, as another one may mean somebody else by a subject; make a route for each", kind)
	}
	if a.Token == nil {
		return nil
	}
	if len(issuers) > 1 || issuers[0].Name != own {
		return errors.New("authorization token: it is for tokens of the oauth_server of this process; " +
			"those of another issuer become its tokens by subject and token exchange, or another server's by authorization exchange")
	}
	for _, audience := range issuers[0].Audience {
		if slices.Contains(a.Token.Audience, audience) {
			return fmt.Errorf("authorization token: audience %s is that of the route, where the upstream could use the token itself", audience)
		}
	}
	return nil
}
