package introspection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// How the server is told who asks (RFC 6749 §2.3.1).
const (
	AuthBasic = "client_secret_basic"
	AuthPost  = "client_secret_post"
)

// Options say how an authorization server is asked about its tokens (RFC 7662).
type Options struct {
	URL string // of its introspection endpoint

	ClientID, ClientSecret string // by which it knows who asks (RFC 7662 §2.1)
	Auth                   string // AuthBasic, which is the default, or AuthPost

	// Issuer is the iss of its tokens; an answer that has another is refused. Empty: iss is not
	// looked at.
	Issuer string

	// SignedBy are the keys of the issuer, of which one must have signed each answer (RFC 9701), by
	// one of Algorithms if there are any; Issuer is required then. nil: answers are not signed.
	SignedBy   verify.KeySet
	Algorithms []string

	InsecureHTTP bool // the URL may be http also where the host is not this machine

	Connection outbound.Options
	Answers    outbound.Answers

	// Turn is what Introspect waits for before it asks; nil: nothing but one of
	// Connection.Requests.
	Turn outbound.Turn
}

var errNoIssuer = errors.New("signed answers need the issuer that has signed them")

var errNoClient = errors.New("client is missing: the id and the secret by which the other server knows this one")

// Validate returns what is wrong with the options.
func (o Options) Validate() error {
	if err := cmp.Or(outbound.CheckURL("url", o.URL), o.Connection.Validate(), o.Answers.Validate()); err != nil {
		return err
	}
	if !o.InsecureHTTP {
		if err := outbound.CheckScheme("url", o.URL, "tokens and the secret"); err != nil {
			return err
		}
	}
	switch {
	case o.SignedBy != nil && o.Issuer == "":
		return errNoIssuer
	case o.ClientID == "" || o.ClientSecret == "":
		return errNoClient
	case o.Auth != "" && o.Auth != AuthBasic && o.Auth != AuthPost:
		return fmt.Errorf("auth %q: it must be %s or %s", o.Auth, AuthBasic, AuthPost)
	}
	return nil
}

// Server is an authorization server that is asked. It is safe for concurrent use.
type Server struct {
	o      Options
	client *outbound.Client
	tokens *outbound.Tokens
}

// New returns a Server. It makes no request.
func New(o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.Connection.Complete()
	if o.Answers.Now == nil {
		o.Answers.Now = time.Now
	}
	s := &Server{o: o, client: outbound.New(o.Connection)}
	s.tokens = outbound.NewTokens(o.Answers, o.Connection, s.ask)
	return s, nil
}

// Name returns what tells the server apart: its issuer, or the URL.
func (s *Server) Name() string { return cmp.Or(s.o.Issuer, verify.ShownURL(s.o.URL)) }

// Introspect returns what the server says of a token. It is a verify.Introspector.
func (s *Server) Introspect(ctx context.Context, token string) (*verify.Token, error) {
	return s.tokens.Ask(ctx, token, s.o.Turn)
}

// IntrospectAt is Introspect with another turn to wait for.
func (s *Server) IntrospectAt(ctx context.Context, token string, turn outbound.Turn) (*verify.Token, error) {
	return s.tokens.Ask(ctx, token, turn)
}

// Close closes connections that wait for another request.
func (s *Server) Close() { s.client.Close() }

// ask asks about one token (RFC 7662 §2.1).
func (s *Server) ask(ctx context.Context, token string) (t *verify.Token, err error) {
	err = s.client.Do(ctx, func(ctx context.Context) (*http.Request, error) {
		form := url.Values{"token": {token}}
		if s.o.Auth == AuthPost {
			form.Set("client_id", s.o.ClientID)
			form.Set("client_secret", s.o.ClientSecret)
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.o.URL, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		outbound.SetFields(r, nil)
		if s.o.SignedBy != nil {
			r.Header.Set("Accept", signedType) // RFC 9701 §4
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if s.o.Auth != AuthPost {
			r.SetBasicAuth(url.QueryEscape(s.o.ClientID), url.QueryEscape(s.o.ClientSecret))
		}
		return r, nil
	}, func(a *outbound.Answer) error {
		t, err = s.judge(ctx, a)
		return err
	})
	return t, err
}
