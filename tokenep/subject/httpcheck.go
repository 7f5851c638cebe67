package subject

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// The places of HTTPCheckOptions.Send, where a token goes.
const (
	SendBearer = "bearer" // the header Authorization: Bearer (RFC 6750 §2.1)
	SendHeader = "header" // a header field
	SendCookie = "cookie" // a cookie (RFC 6265 §4.2)
	SendForm   = "form"   // application/x-www-form-urlencoded
	SendJSON   = "json"   // a JSON object
	SendQuery  = "query"  // the query of the URL, which logs have
)

// HTTPCheckOptions say how an application is asked whether a token is good (RFC 8693 §2.1, for
// token types of its own), and what its answers mean.
type HTTPCheckOptions struct {
	URL    string
	Method string      // default: POST for form and json, else GET
	Send   string      // where the token goes; default: SendBearer
	Field  string      // the name of the header field, the cookie, or whatever it is there
	Scheme string      // with SendHeader, what stands before the token; empty: nothing
	Header http.Header // further fields of each request

	Yes []outbound.Rule // default: status 200, where there are claims
	No  []outbound.Rule // default: status 401 and 403

	// Claims are the claims that the token has: members of the JSON of a good answer. exp, nbf and
	// iat are times: a number of seconds, or as in RFC 3339.
	Claims []AnswerClaim

	InsecureHTTP bool // the URL may be http also where the host is not this machine

	Connection outbound.Options
	Answers    outbound.Answers
	Address    Address // that a request comes from
}

// AnswerClaim is a claim that is a member of an answer. Members of members have dots between them.
type AnswerClaim struct{ Name, Member string }

func (o *HTTPCheckOptions) complete() {
	o.Send = cmp.Or(o.Send, SendBearer)
	o.Method = cmp.Or(o.Method, http.MethodGet)
	if len(o.Yes) == 0 {
		o.Yes = outbound.Statuses(http.StatusOK)
	}
	if len(o.No) == 0 {
		o.No = outbound.Statuses(http.StatusUnauthorized, http.StatusForbidden)
	}
}

func (o HTTPCheckOptions) sendsBody() bool { return o.Send == SendForm || o.Send == SendJSON }

var errNoYes = errors.New("no claim is read, so nothing in the answer says who it is about, and many pages answer everybody with 200: " +
	"write claim sub <member>, or which answers mean yes, such as yes 204")

// Validate returns what is wrong with the options.
func (o HTTPCheckOptions) Validate() error {
	if err := cmp.Or(o.ValidateParts(), outbound.CheckURL("url", o.URL)); err != nil {
		return err
	}
	if !o.InsecureHTTP {
		if err := outbound.CheckScheme("url", o.URL, "tokens"); err != nil {
			return err
		}
	}
	if len(o.Claims) == 0 && len(o.Yes) == 0 {
		return errNoYes
	}
	o.complete()
	return outbound.CheckExclusive(o.Yes, o.No)
}

// ValidateParts returns what is wrong with one of the options, whatever others say.
func (o HTTPCheckOptions) ValidateParts() error {
	if o.Method == "" && o.sendsBody() {
		o.Method = http.MethodPost
	}
	o.complete()
	switch places := []string{SendBearer, SendHeader, SendCookie, SendForm, SendJSON, SendQuery}; {
	case !slices.Contains(places, o.Send):
		return fmt.Errorf("send %q: a token can go by %s", o.Send, strings.Join(places, ", "))
	case (o.Field == "") != (o.Send == SendBearer):
		return fmt.Errorf("send %s: the name of the field is missing, or is too much", o.Send)
	case (o.Send == SendHeader || o.Send == SendCookie) && strings.ContainsFunc(o.Field, notToken):
		return fmt.Errorf("send %s: %q is no name for that", o.Send, o.Field)
	case strings.ContainsFunc(o.Scheme, notToken) || o.Scheme != "" && o.Send != SendHeader:
		return fmt.Errorf("send %s: %q cannot stand before the token", o.Send, o.Scheme)
	case o.sendsBody() && (o.Method == http.MethodGet || o.Method == http.MethodHead):
		return fmt.Errorf("method %s: it has no body for a token; write POST", o.Method)
	}
	return cmp.Or(outbound.CheckMethod(o.Method), outbound.CheckRules("yes", o.Yes), outbound.CheckRules("no", o.No),
		o.checkClaims(), o.Connection.Validate(), o.Answers.Validate())
}

func (o HTTPCheckOptions) checkClaims() error {
	names := make(map[string]bool)
	for _, c := range o.Claims {
		switch {
		case c.Name == "" || c.Member == "":
			return errors.New("claim: it has a name, and the member that it is")
		case names[c.Name]:
			return fmt.Errorf("claim %s is given twice", c.Name)
		case slices.Contains([]string{"iss", "cnf"}, c.Name):
			return fmt.Errorf("claim %s: an application cannot say that", c.Name)
		}
		names[c.Name] = true
	}
	return nil
}

// notToken reports whether a character cannot be in a token as HTTP has it (RFC 9110 §5.6.2).
func notToken(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// HTTPCheck asks an application whether a token is good: a session of it, or a key that it has
// issued.
type HTTPCheck struct {
	o      HTTPCheckOptions
	client *outbound.Client
	tokens *outbound.Tokens
	queue  queue
}

// NewHTTPCheck returns an HTTPCheck.
func NewHTTPCheck(o HTTPCheckOptions) (*HTTPCheck, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Method == "" && o.sendsBody() {
		o.Method = http.MethodPost
	}
	o.complete()
	o.Connection.Complete()
	c := &HTTPCheck{o: o, client: outbound.New(o.Connection)}
	c.tokens, c.queue = outbound.NewTokens(o.Answers, o.Connection, c.ask), newQueue(o.Connection, o.Address)
	return c, nil
}

// Prove is that of a Source.
func (c *HTTPCheck) Prove(ctx context.Context, r *tokenep.Request, token string) (*verify.Token, error) {
	return c.tokens.Ask(ctx, token, c.queue.turn(r))
}

// Name returns what tells the application apart: its URL.
func (c *HTTPCheck) Name() string { return verify.ShownURL(c.o.URL) }

// Close closes connections that wait for another request.
func (c *HTTPCheck) Close() { c.client.Close() }

var errCharacters = fmt.Errorf("%w: it has characters that cannot be sent there", ErrBadToken)

// ask asks for one token. A token that would be something else where it goes is not sent.
func (c *HTTPCheck) ask(ctx context.Context, token string) (t *verify.Token, err error) {
	if !c.fits(token) {
		return nil, errCharacters
	}
	err = c.client.Do(ctx, func(ctx context.Context) (*http.Request, error) { return c.request(ctx, token) },
		func(a *outbound.Answer) error {
			t, err = c.judge(a)
			return err
		})
	return t, err
}

// fits reports whether a token can go where it is configured to go, and be nothing else there: a
// second cookie (RFC 6265 §4.1.1), or another field.
func (c *HTTPCheck) fits(token string) bool {
	wrong := func(r rune) bool { return r < ' ' || r > '~' }
	switch c.o.Send {
	case SendBearer:
		wrong = func(r rune) bool { return r <= ' ' || r > '~' }
	case SendHeader:
		if token != strings.TrimSpace(token) {
			return false
		}
	case SendCookie:
		wrong = func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`",;\`, r) }
	default:
		return token != ""
	}
	return token != "" && !strings.ContainsFunc(token, wrong)
}

// request puts the token where it is configured to go.
func (c *HTTPCheck) request(ctx context.Context, token string) (*http.Request, error) {
	var body io.Reader = http.NoBody
	target, contentType := c.o.URL, ""
	switch c.o.Send {
	case SendForm:
		body, contentType = strings.NewReader(url.Values{c.o.Field: {token}}.Encode()), "application/x-www-form-urlencoded"
	case SendJSON:
		text, err := json.Marshal(map[string]string{c.o.Field: token})
		if err != nil {
			return nil, err
		}
		body, contentType = bytes.NewReader(text), "application/json"
	case SendQuery:
		separator := "?"
		if strings.Contains(target, "?") {
			separator = "&"
		}
		target += separator + url.QueryEscape(c.o.Field) + "=" + url.QueryEscape(token)
	}
	r, err := http.NewRequestWithContext(ctx, c.o.Method, target, body)
	if err != nil {
		return nil, err
	}
	outbound.SetFields(r, c.o.Header)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	switch c.o.Send {
	case SendBearer:
		r.Header.Set("Authorization", "Bearer "+token)
	case SendHeader:
		r.Header.Set(c.o.Field, strings.TrimLeft(c.o.Scheme+" "+token, " "))
	case SendCookie:
		r.Header.Add("Cookie", c.o.Field+"="+token)
	}
	return r, nil
}

// judge says what the token says, or that it is not good.
func (c *HTTPCheck) judge(a *outbound.Answer) (*verify.Token, error) {
	yes, err := a.Means(c.o.Yes, c.o.No)
	switch {
	case err != nil:
		return nil, err
	case !yes:
		return nil, fmt.Errorf("%w: the answer has status %d", ErrBadToken, a.StatusCode)
	}
	claims := make(map[string]any, len(c.o.Claims))
	for _, claim := range c.o.Claims {
		value, err := a.Member(claim.Member)
		if err != nil {
			return nil, err
		}
		if value != nil {
			claims[claim.Name] = value
		}
	}
	return tokenOf(c.Name(), claims)
}

// tokenOf returns what a token says whose issuer is the source. The times among the claims become
// those of the token; in a form that nobody can read, they are not taken for absent.
func tokenOf(issuer string, claims map[string]any) (*verify.Token, error) {
	t := &verify.Token{Issuer: issuer, Claims: claims}
	t.Subject, _ = claims["sub"].(string)
	t.ID, _ = claims["jti"].(string)
	for name, into := range map[string]*time.Time{"exp": &t.Expires, "nbf": &t.NotBefore, "iat": &t.IssuedAt} {
		value := claims[name]
		if value == nil {
			continue
		}
		if number, ok := value.(json.Number); ok {
			float, err := number.Float64()
			if err != nil {
				return nil, fmt.Errorf("%s is no time", name)
			}
			value = float
		}
		seconds, ok := tokenep.ReadSeconds(value)
		if !ok || seconds <= 0 || seconds > maxSeconds {
			return nil, fmt.Errorf("%s is no time", name)
		}
		*into = time.Unix(seconds, 0)
	}
	return t, nil
}

// maxSeconds is in the year 5138: what is more is in milliseconds.
const maxSeconds = 1e11
