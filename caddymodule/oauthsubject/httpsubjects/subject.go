package httpsubjects

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/internal/remote"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
)

func init() { caddy.RegisterModule(new(Subject)) }

// Subject is another application, such as the one behind the proxy, whose sessions or keys become
// access tokens of this server: it is asked whether one is good, and whose, by one HTTP request.
type Subject struct {
	oauthsubject.Asked

	// What is asked, https; http is for hosts on this machine. Placeholders are resolved when the
	// configuration is loaded. Required.
	URL string `json:"url,omitempty"`

	// The token type identifier by which clients say that they send such a token: a URN of your
	// own, such as urn:example:token-type:session. Required.
	TokenType string `json:"token_type,omitempty"`

	// The method of the request. Default: POST if the token is in its body, else GET.
	Method string `json:"method,omitempty"`

	// Where the token goes: bearer, the header Authorization; header, another field; cookie; form;
	// json, an object with one text; or query, which puts it into the logs of the application.
	// Default: bearer.
	Send string `json:"send,omitempty"`

	// The name of that header field, cookie or member. Required, but for bearer.
	Field string `json:"field,omitempty"`

	// With send header, a word that stands before the token. Default: none.
	Scheme string `json:"scheme,omitempty"`

	// Further header fields of each request, such as a key by which the application knows this
	// server. Placeholders are resolved when the configuration is loaded. Default: none.
	Header map[string]string `json:"header,omitempty"`

	// Which answers mean that the token is good. Default: status 200; required without claims.
	Yes []remote.Rule `json:"yes,omitempty"`

	// Which answers mean that it is not. Default: status 401 and 403.
	No []remote.Rule `json:"no,omitempty"`

	// What the policies know of the token: each claim, and which member of the JSON of the answer
	// it is. exp, nbf and iat are times, and bind the access token as those of a JWT do. Default:
	// nothing.
	Claims []Claim `json:"claims,omitempty"`

	// Send tokens over http to another machine. Default: false.
	InsecureHTTP bool `json:"insecure_http,omitempty"`

	check *subject.HTTPCheck
}

// Claim is a claim of the token.
type Claim struct {
	// Its name, as policies have it behind "claims.". Required.
	Name string `json:"name"`

	// The member of the answer. Members of members are written with dots, such as data.user.id.
	// Required.
	Member string `json:"member"`
}

// CaddyModule returns the Caddy module information.
func (*Subject) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.subjects.http",
		New: func() caddy.Module { return new(Subject) },
	}
}

// Extend adds the application to a server. No request is made: it need not be there for the
// configuration to load.
func (s *Subject) Extend(c *server.Config) (err error) {
	if err := s.checkOptions(); err != nil {
		return fmt.Errorf("http: %w", err)
	}
	o := s.options()
	if o.URL, err = adapt.Resolve("http: url", s.URL); err != nil {
		return err
	}
	if o.Header, err = remote.ResolveFields(c.Logger, "http", s.Header); err != nil {
		return err
	}
	if o.Connection, err = s.Resolve("http", o.URL); err != nil {
		return err
	}
	o.Answers.Now = c.Now
	policies, err := oauthsubject.Policies(s.Policies)
	if err == nil {
		s.check, err = subject.NewHTTPCheck(o)
	}
	if err != nil {
		return fmt.Errorf("http %s: %w", verify.ShownURL(s.URL), err)
	}
	if s.InsecureHTTP {
		c.Logger.Warn("insecure_http: tokens cross the network in clear on the way to the application", "url", s.check.Name())
	}
	s.warnOfClaims(c.Logger, policies)
	c.Subjects = append(c.Subjects, &subject.Source{
		Name: s.check.Name(), Types: []string{s.TokenType}, Prove: s.check.Prove, Policies: policies,
	})
	return nil
}

// warnOfClaims logs which claims the policies look at that no token has.
func (s *Subject) warnOfClaims(logger *slog.Logger, policies []subject.Policy) {
	for i := range policies {
		for _, name := range looksAt(&policies[i]) {
			if !slices.ContainsFunc(s.Claims, func(c Claim) bool { return c.Name == name }) {
				logger.Warn("the policy looks at a claim that no token has: make it of a member of the answer, by a line claim, or do not look at it",
					"url", s.check.Name(), "policy", policies[i].Name, "claim", name)
			}
		}
	}
}

// looksAt returns the names of the claims that a policy looks at.
func looksAt(p *subject.Policy) (names []string) {
	if p.When != nil {
		names = p.When.Claims()
	}
	names = slices.Concat(names, p.Subject.Claims())
	for _, c := range slices.Concat(p.Claims, p.MayAct) {
		names = append(names, c.Value.Claims()...)
	}
	if path, err := verify.ParseClaimPath(p.ScopeClaim); p.ScopeClaim != "" && err == nil {
		names = append(names, path[0])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Cleanup closes connections that wait for another request.
func (s *Subject) Cleanup() error {
	if s.check != nil {
		s.check.Close()
	}
	return nil
}

// options returns the options before their placeholders are resolved.
func (s *Subject) options() subject.HTTPCheckOptions {
	o := subject.HTTPCheckOptions{
		URL: s.URL, Method: s.Method, Send: s.Send, Field: s.Field, Scheme: s.Scheme, Yes: remote.Rules(s.Yes), No: remote.Rules(s.No),
		InsecureHTTP: s.InsecureHTTP, Connection: s.Options(), Answers: s.Answers(), Address: adapt.ClientAddress,
	}
	for _, c := range s.Claims {
		o.Claims = append(o.Claims, subject.AnswerClaim(c))
	}
	return o
}

// literal returns the options with something that is good in the place of placeholders.
func (s *Subject) literal() subject.HTTPCheckOptions {
	o := s.options()
	if !adapt.IsLiteral(o.URL) {
		o.URL = "https://any.invalid/"
	}
	return o
}

var errTokenType = errors.New("token_type is missing: by what identifier clients say that they send such a token, " +
	"such as urn:example:token-type:session")

// checkOptions refuses what would mean nothing.
func (s *Subject) checkOptions() error {
	if s.TokenType == "" {
		return errTokenType
	}
	if len(s.Policies) == 0 {
		return oauthsubject.ErrNoPolicy
	}
	return cmp.Or(oauthsubject.CheckTokenType(s.TokenType), s.checkHeader())
}

func (s *Subject) checkHeader() error {
	for name := range s.Header {
		if err := remote.CheckField(name); err != nil {
			return err
		}
		taken := map[string]string{
			subject.SendBearer: "Authorization", subject.SendHeader: http.CanonicalHeaderKey(s.Field), subject.SendCookie: "Cookie",
			subject.SendForm: "Content-Type", subject.SendJSON: "Content-Type",
		}[cmp.Or(s.Send, subject.SendBearer)]
		if http.CanonicalHeaderKey(name) == taken {
			return fmt.Errorf("header %s: send %s sets it", name, cmp.Or(s.Send, subject.SendBearer))
		}
	}
	return nil
}

// Interface guards.
var (
	_ caddy.CleanerUpper    = (*Subject)(nil)
	_ oauthserver.Extension = (*Subject)(nil)
)
