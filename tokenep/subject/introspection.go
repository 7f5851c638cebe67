package subject

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/outbound"
	"github.com/tokenep/caddy-tokenep/verify"
)

// How this server authenticates to the one that it asks (RFC 6749 §2.3.1).
const (
	AuthBasic = "client_secret_basic"
	AuthPost  = "client_secret_post"
)

// IntrospectionOptions say how another authorization server is asked about its tokens (RFC 7662).
type IntrospectionOptions struct {
	URL string // of its introspection endpoint

	ClientID, ClientSecret string // by which it knows this server (RFC 7662 §2.1)
	Auth                   string // AuthBasic, which is the default, or AuthPost

	// Issuer is the iss of its tokens; an answer that has another is refused. Empty: iss is not
	// looked at.
	Issuer string

	// Audience are the names of which aud must have one. Empty: InsecureAnyAudience must say so.
	Audience            []string
	InsecureAnyAudience bool

	InsecureHTTP bool // the URL may be http also where the host is not this machine

	Connection outbound.Options
	Answers    Answers
}

var (
	errNoClient   = errors.New("client is missing: the id and the secret by which the other server knows this one")
	errNoAudience = errors.New("audience is missing: of which names aud must have one, so that no token for another service is taken; " +
		"or insecure_any_audience, if its tokens have no aud")
	errTwoAudiences = errors.New("audience and insecure_any_audience exclude each other")
)

// Validate returns what is wrong with the options.
func (o IntrospectionOptions) Validate() error {
	if err := cmp.Or(outbound.CheckURL("url", o.URL), o.Connection.Validate(), o.Answers.Validate()); err != nil {
		return err
	}
	if !o.InsecureHTTP {
		if err := outbound.CheckScheme("url", o.URL, "tokens and the secret"); err != nil {
			return err
		}
	}
	switch {
	case o.ClientID == "" || o.ClientSecret == "":
		return errNoClient
	case o.Auth != "" && o.Auth != AuthBasic && o.Auth != AuthPost:
		return fmt.Errorf("auth %q: it must be %s or %s", o.Auth, AuthBasic, AuthPost)
	case len(o.Audience) == 0 && !o.InsecureAnyAudience:
		return errNoAudience
	case len(o.Audience) > 0 && o.InsecureAnyAudience:
		return errTwoAudiences
	}
	return nil
}

// Introspection asks another authorization server about its tokens (RFC 7662).
type Introspection struct {
	o      IntrospectionOptions
	client *outbound.Client
	asked  *asked
}

// NewIntrospection returns an Introspection.
func NewIntrospection(o IntrospectionOptions) (*Introspection, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.Connection.Complete()
	i := &Introspection{o: o, client: outbound.New(o.Connection)}
	i.asked = newAsked(o.Answers, o.Connection, i.ask)
	return i, nil
}

// Name returns what tells the server apart: its issuer, or the URL.
func (i *Introspection) Name() string {
	return cmp.Or(i.o.Issuer, outbound.WithoutQuery(i.o.URL))
}

// Prove is that of a Source.
func (i *Introspection) Prove(ctx context.Context, r *tokenep.Request, token string) (*verify.Token, error) {
	return i.asked.prove(ctx, r, token)
}

// Close closes connections that wait for another request.
func (i *Introspection) Close() { i.client.Close() }

// ask asks about one token (RFC 7662 §2.1).
func (i *Introspection) ask(ctx context.Context, token string) (t *verify.Token, err error) {
	err = i.client.Do(ctx, func(ctx context.Context) (*http.Request, error) {
		form := url.Values{"token": {token}}
		if i.o.Auth == AuthPost {
			form.Set("client_id", i.o.ClientID)
			form.Set("client_secret", i.o.ClientSecret)
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.o.URL, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		outbound.SetFields(r, nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if i.o.Auth != AuthPost {
			r.SetBasicAuth(url.QueryEscape(i.o.ClientID), url.QueryEscape(i.o.ClientSecret))
		}
		return r, nil
	}, func(a *outbound.Answer) error {
		t, err = i.judge(a)
		return err
	})
	return t, err
}

// Answers that say nothing of the token: the other server is not as it is configured here.
var errActive = errors.New("active is neither true nor false")

// jsonAnswer returns the JSON object of an answer that has one of these statuses.
func jsonAnswer(a *outbound.Answer, statuses ...int) (map[string]any, error) {
	if !slices.Contains(statuses, a.StatusCode) {
		return nil, fmt.Errorf("the answer has status %d", a.StatusCode)
	}
	if media, _, err := mime.ParseMediaType(a.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, errors.New("the answer is not application/json")
	}
	return a.Object()
}

// judge says what the token says, or that it is not good (RFC 7662 §2.2).
func (i *Introspection) judge(a *outbound.Answer) (*verify.Token, error) {
	claims, err := jsonAnswer(a, http.StatusOK)
	if err != nil {
		return nil, err
	}
	switch active, ok := claims["active"].(bool); {
	case !ok:
		return nil, errActive
	case !active:
		return nil, fmt.Errorf("%w: it is not active", ErrBadToken)
	}
	t, err := tokenOf(i.Name(), claims)
	if err != nil {
		return nil, err
	}
	return t, i.accepts(t)
}

// accepts returns why an active token is not for this server.
func (i *Introspection) accepts(t *verify.Token) error {
	if kind := t.Claims["token_type"]; kind != nil {
		bound, err := verify.ParseConfirmation(t.Claims["cnf"])
		text, _ := kind.(string)
		byProof := err == nil && bound.KeyThumbprint != "" && strings.EqualFold(text, "DPoP")
		if !strings.EqualFold(text, "Bearer") && !byProof {
			return fmt.Errorf("%w: token_type is not Bearer, or DPoP with a jkt in cnf", ErrBadToken)
		}
	}
	if iss := t.Claims["iss"]; i.o.Issuer != "" && iss != nil && iss != i.o.Issuer {
		return fmt.Errorf("%w: iss is another issuer", ErrBadToken)
	}
	t.ClientID, _ = t.Claims["client_id"].(string)
	switch aud := t.Claims["aud"].(type) {
	case string:
		t.Audience = []string{aud}
	case []any:
		for _, one := range aud {
			text, ok := one.(string)
			if !ok {
				return fmt.Errorf("%w: aud is no list of texts", ErrBadToken)
			}
			t.Audience = append(t.Audience, text)
		}
	case nil:
	default:
		return fmt.Errorf("%w: aud is no text", ErrBadToken)
	}
	if !i.o.InsecureAnyAudience && !slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(i.o.Audience, a) }) {
		return fmt.Errorf("%w: %w: %q, expected one of %q", ErrBadToken, errAudience, t.Audience, i.o.Audience)
	}
	return nil
}
