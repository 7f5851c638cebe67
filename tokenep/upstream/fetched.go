package upstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// FetchedOptions say where a token of an application comes from: another authorization server, by
// token exchange (RFC 8693), or by an ID-JAG that one server gives for the token, and another takes
// for an access token (draft-ietf-oauth-identity-assertion-authz-grant).
type FetchedOptions struct {
	Exchange Endpoint // gets the token as subject_token
	Assert   Endpoint // gets the ID-JAG as assertion; no URL: Exchange gives the access token

	SubjectTokenType string   // RFC 8693 §3; default: that of access tokens
	Audience         []string // audience of the exchange (RFC 8693 §2.1); with Assert, its server
	Resource         []string // RFC 8707, of the access token
	Scope            verify.Scope

	Form         Form // default: as it is
	InsecureHTTP bool // the URLs may be http also where the host is not this machine
	Entries      int  // that are remembered, at most; default: DefaultEntries
	Now          func() time.Time
}

// Endpoint is a token endpoint, and how this process is known there (RFC 6749 §2.3.1).
type Endpoint struct {
	URL                    string
	ClientID, ClientSecret string // no secret: the client is public
	PostSecret             bool   // the secret goes into the form, and not into Authorization
	Connection             outbound.Options
}

// IDJAGType is the token type identifier of an ID-JAG.
const IDJAGType = "urn:ietf:params:oauth:token-type:id-jag"

// standardLife is that of a token whose life is not said.
const standardLife = time.Minute

// Validate returns what is wrong with the options.
func (o FetchedOptions) Validate() error {
	if err := o.check("url", o.Exchange); err != nil {
		return err
	}
	if o.Assert.URL != "" {
		if err := o.check("assert", o.Assert); err != nil {
			return err
		}
		if len(o.Audience) == 0 {
			return errors.New("audience: the issuer of the server that takes the ID-JAG is missing")
		}
	}
	return checkEntries(o.Entries)
}

func (o FetchedOptions) check(option string, e Endpoint) error {
	if err := outbound.CheckURL(option, e.URL); err != nil {
		return err
	}
	if !o.InsecureHTTP {
		if err := outbound.CheckScheme(option, e.URL, "tokens"); err != nil {
			return err
		}
	}
	if e.ClientID == "" {
		return fmt.Errorf("%s: client: the server has to know who asks", option)
	}
	return e.Connection.Validate()
}

// Fetched gets tokens of another server.
type Fetched struct {
	o                FetchedOptions
	exchange, assert *outbound.Client
	kept             *kept
}

// NewFetched returns a Fetched.
func NewFetched(o FetchedOptions) (*Fetched, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.SubjectTokenType == "" {
		o.SubjectTokenType = grant.AccessTokenType
	}
	f := &Fetched{o: o, exchange: outbound.New(o.Exchange.Connection), kept: newKept(o.Entries, o.Form, o.Now)}
	if o.Assert.URL != "" {
		f.assert = outbound.New(o.Assert.Connection)
	}
	return f, nil
}

// Close closes connections that wait for another request.
func (f *Fetched) Close() {
	f.exchange.Close()
	if f.assert != nil {
		f.assert.Close()
	}
}

// Credential finds the token for one that was presented. It is asked for once, for all who wait
// for it, and remembered for nine tenths of its life, but no longer than any verifier takes the one
// presented.
func (f *Fetched) Credential(logger *slog.Logger) Finder {
	return func(r *http.Request, t *verify.Token, presented string) (verify.Credential, error) {
		if c, known := f.kept.recall(t, nil); known {
			return c, nil
		}
		return f.kept.get(r, t, nil, logger, outbound.KeyOf(presented), func(ctx context.Context) (obtained, error) {
			start := f.kept.now()
			token, life, err := f.fetch(ctx, presented)
			return obtained{token, capped(start.Add(life*9/10), t.Expires, verify.MaxLeeway), NewID(),
				[]slog.Attr{from(verify.ShownURL(cmp.Or(f.o.Assert.URL, f.o.Exchange.URL))), expiring(start.Add(life))}}, err
		})
	}
}

func (f *Fetched) fetch(ctx context.Context, presented string) (token string, life time.Duration, err error) {
	form := url.Values{
		"grant_type": {tokenep.TokenExchangeType}, "subject_token": {presented},
		"subject_token_type": {f.o.SubjectTokenType}, "audience": f.o.Audience, "resource": f.o.Resource,
	}
	if len(f.o.Scope) > 0 {
		form.Set("scope", f.o.Scope.String())
	}
	if f.assert == nil {
		form.Set("requested_token_type", grant.AccessTokenType)
		return f.o.Exchange.ask(ctx, f.exchange, form, grant.AccessTokenType)
	}
	form.Set("requested_token_type", IDJAGType)
	if token, _, err = f.o.Exchange.ask(ctx, f.exchange, form, IDJAGType); err != nil {
		return "", 0, err
	}
	form = url.Values{"grant_type": {grant.JWTBearerType}, "assertion": {token}}
	if len(f.o.Scope) > 0 {
		form.Set("scope", f.o.Scope.String())
	}
	return f.o.Assert.ask(ctx, f.assert, form, "")
}

// ask sends a form to the token endpoint, and returns the token of its answer (RFC 6749 §5.1). kind
// is the issued_token_type that it must be (RFC 8693 §2.2.1); empty: there is none.
func (e *Endpoint) ask(ctx context.Context, client *outbound.Client, form url.Values, kind string) (token string, life time.Duration, err error) {
	err = client.Do(ctx, func(ctx context.Context) (*http.Request, error) { return e.request(ctx, form) },
		func(a *outbound.Answer) error {
			token, life, err = read(a, kind)
			return err
		})
	if refusal, ok := errors.AsType[*verify.Error](err); ok {
		refusal.Cause = fmt.Errorf("%s: %w", verify.ShownURL(e.URL), refusal.Cause)
	} else if err != nil {
		err = fmt.Errorf("%s: %w", verify.ShownURL(e.URL), err)
	}
	return token, life, err
}

func (e *Endpoint) request(ctx context.Context, form url.Values) (*http.Request, error) {
	if e.ClientSecret == "" || e.PostSecret {
		form.Set("client_id", e.ClientID)
	}
	if e.ClientSecret != "" && e.PostSecret {
		form.Set("client_secret", e.ClientSecret)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	outbound.SetFields(r, nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if e.ClientSecret != "" && !e.PostSecret {
		r.SetBasicAuth(url.QueryEscape(e.ClientID), url.QueryEscape(e.ClientSecret))
	}
	return r, nil
}

// refusals are the error codes of a server that knows this client, and has no token for the one
// that was presented (RFC 6749 §5.2, RFC 8693 §2.2.2).
var refusals = []string{"invalid_request", "invalid_grant", "invalid_target", "invalid_scope", "access_denied"}

// read returns the token of an answer.
func read(a *outbound.Answer, kind string) (token string, life time.Duration, err error) {
	if a.StatusCode >= http.StatusInternalServerError || a.StatusCode == http.StatusTooManyRequests {
		return "", 0, unavailable(fmt.Errorf("the server answers with status %d", a.StatusCode))
	}
	object, err := a.Object()
	if err != nil {
		return "", 0, senseless(fmt.Errorf("status %d: %w", a.StatusCode, err))
	}
	if a.StatusCode != http.StatusOK {
		code := text(object, "error")
		if a.StatusCode == http.StatusBadRequest && slices.Contains(refusals, code) {
			return "", 0, none(fmt.Errorf("the server answers %s: %.200q", code, text(object, "error_description")))
		}
		return "", 0, senseless(fmt.Errorf("the server answers with status %d, and %.200q", a.StatusCode, code))
	}
	if token, err = readToken(object, kind); err != nil {
		return "", 0, senseless(err)
	}
	number, said := object["expires_in"].(json.Number)
	seconds, err := number.Int64()
	switch {
	case !said && object["expires_in"] == nil:
		return token, standardLife, nil
	case err != nil || seconds <= 0:
		return "", 0, senseless(errors.New("expires_in is no number of seconds"))
	}
	return token, time.Duration(min(seconds, maxLife)) * time.Second, nil
}

// maxLife bounds the life of a token, in seconds.
const maxLife = 24 * 60 * 60

func text(object map[string]any, name string) string {
	value, _ := object[name].(string)
	return value
}

// readToken returns the token of a good answer (RFC 6749 §5.1, RFC 8693 §2.2.1).
func readToken(object map[string]any, kind string) (string, error) {
	token, tokenType := text(object, "access_token"), "Bearer"
	if kind == IDJAGType {
		tokenType = "N_A" // it is no access token
	}
	switch {
	case token == "" || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", errors.New("the answer has no token")
	case !strings.EqualFold(text(object, "token_type"), tokenType):
		return "", fmt.Errorf("token_type is %.40q, not %s", text(object, "token_type"), tokenType)
	case kind == IDJAGType && text(object, "issued_token_type") != kind:
		return "", fmt.Errorf("issued_token_type is %.80q, not %s", text(object, "issued_token_type"), kind)
	}
	return token, nil
}
