package oauthadmin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify"
)

// inspection is the request to inspect a token.
type inspection struct {
	Token    string   `json:"token"`
	Audience []string `json:"audience,omitempty"` // of the verifier; none: any audience passes
	Scope    []string `json:"scope,omitempty"`    // all of it is required
}

// inspected is the report. Header and claims are what the token says; they can be forged unless it
// is accepted.
type inspected struct {
	Accepted bool             `json:"accepted"`
	Header   *inspectedHeader `json:"header,omitempty"`
	Claims   map[string]any   `json:"claims,omitempty"`
	Checks   []inspectedCheck `json:"checks"`
}

type inspectedHeader struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid,omitempty"`
	Type      string `json:"typ,omitempty"`
}

// inspectedCheck is one check. The checks are in the order of the verifier.
type inspectedCheck struct {
	Name   string `json:"name"`
	Result string `json:"result"`           // ok, fail or skipped
	Reason string `json:"reason,omitempty"` // why it failed or was skipped
	Option string `json:"option,omitempty"` // of issuer or route, with which it would have passed
}

// why returns the reason, and what would have helped.
func (c *inspectedCheck) why() string {
	if c.Option == "" {
		return c.Reason
	}
	return c.Reason + "; it would pass with " + c.Option
}

// The results of a check.
const (
	checkOK      = "ok"
	checkFail    = "fail"
	checkSkipped = "skipped"

	needsEarlier = "cannot be checked, since an earlier check failed"
)

// inspectToken runs the checks of a verifier that trusts only this server.
func inspectToken(r *request) (any, error) {
	var in inspection
	if err := r.read(&in); err != nil {
		return nil, err
	}
	if in.Token == "" {
		return nil, refuse(http.StatusBadRequest, "token: is required")
	}
	if err := adapt.CheckScope(in.Scope, member("scope")); err != nil {
		return nil, refuse(http.StatusBadRequest, "scope: %w", err)
	}
	if err := adapt.CheckAudience(in.Audience, member("audience")); err != nil {
		return nil, refuse(http.StatusBadRequest, "audience: %w", err)
	}
	trusted := r.server.Server().Trusted()
	trusted.Audience, trusted.InsecureAnyAudience = in.Audience, len(in.Audience) == 0
	trusted.InsecureAnyConfirmation = true // see checkConfirmation
	verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: r.server.Server().Config.Now})
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "audience: %w", err)
	}
	token, checks := verifier.Inspect(r.Context(), verify.Presentation{Token: in.Token})
	report := reportOf(token, checks)
	for i := range report.Checks {
		report.Checks[i].Option = "" // a server has none of those
		if shown := &report.Checks[i]; shown.Name == "audience" && shown.Result == checkOK && trusted.InsecureAnyAudience {
			shown.Result, shown.Reason = checkSkipped, "no audience was given"
		}
		if shown := &report.Checks[i]; shown.Name == "confirmation" && shown.Result == checkOK {
			*shown = checkConfirmation(token)
			report.Accepted = report.Accepted && shown.Result != checkFail
		}
	}
	scope := checkScope(token, in.Scope)
	report.Accepted = report.Accepted && scope.Result != checkFail
	report.Checks = append(report.Checks, scope)
	return report, nil
}

// reportOf returns the report on a token and its checks.
func reportOf(token *verify.Token, checks []verify.Check) *inspected {
	report := &inspected{Accepted: true}
	for _, check := range checks {
		report.Accepted = report.Accepted && check.Err == nil && !check.Skipped
		report.Checks = append(report.Checks, showCheck(check))
	}
	if token != nil {
		report.Header = &inspectedHeader{token.Header.Algorithm, token.Header.KeyID, token.Header.Type}
		report.Claims = token.Claims
	}
	return report
}

// routeInspection is the request to inspect a token as a route would.
type routeInspection struct {
	Token  string `json:"token"`
	URL    string `json:"url"`              // of the request, as a client writes it
	Method string `json:"method,omitempty"` // default: GET

	// Its header, beside Authorization, which has the token.
	Header http.Header `json:"header,omitempty"`

	// Where it comes from: the address of a client, or of a proxy. Default: 127.0.0.1.
	From netip.Addr `json:"from,omitzero"`
}

// routePath is where routes are asked: they are of no one server.
const routePath = "/oauth_verify/inspect"

// inspectRoute answers what the oauth_verify on the way of a request would make of a token.
func inspectRoute(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return asAPIError(w, refuse(http.StatusMethodNotAllowed, "method %s is not allowed here", r.Method))
	}
	report, err := askRoute(&request{Request: r})
	if err == nil {
		err = writeAnswer(w, http.StatusOK, report)
	}
	if err != nil {
		return asAPIError(w, err)
	}
	return nil
}

func askRoute(r *request) (any, error) {
	var in routeInspection
	if err := r.read(&in); err != nil {
		return nil, err
	}
	asked, err := in.request(r.Context())
	if err != nil {
		return nil, err
	}
	active := caddy.ActiveContext()
	if active.Context == nil {
		return nil, refuse(http.StatusServiceUnavailable, "Caddy has not started yet")
	}
	return inspectIn(active, asked, in.Token)
}

// request returns the request that is asked about.
func (in *routeInspection) request(ctx context.Context) (*http.Request, error) {
	if in.Token == "" {
		return nil, refuse(http.StatusBadRequest, "token: is required")
	}
	asked, err := http.NewRequestWithContext(ctx, cmp.Or(in.Method, http.MethodGet), in.URL, http.NoBody)
	if err != nil || asked.URL.Host == "" || asked.URL.Scheme != "https" && asked.URL.Scheme != "http" {
		return nil, refuse(http.StatusBadRequest, "url: must be absolute, such as https://api.example.com/orders, and method one of HTTP")
	}
	for name, values := range in.Header {
		name = http.CanonicalHeaderKey(name)
		if name == "Authorization" {
			return nil, refuse(http.StatusBadRequest, "header: leave Authorization out: it has the token")
		}
		asked.Header[name] = append(asked.Header[name], values...)
	}
	from := in.From
	if !from.IsValid() {
		from = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	asked.RemoteAddr, asked.RequestURI = netip.AddrPortFrom(from, 0).String(), asked.URL.RequestURI()
	return asked, nil
}

// inspectIn asks the routes of a configuration that is provisioned.
func inspectIn(config caddy.Context, asked *http.Request, token string) (*inspected, error) {
	app, err := config.App("oauth_verify")
	if err != nil {
		return nil, err
	}
	routes, ok := app.(interface {
		Inspect(r *http.Request, token string) (*verify.Token, []verify.Check, error)
	})
	if !ok {
		return nil, refuse(http.StatusNotFound, "this Caddy has another oauth_verify")
	}
	found, checks, err := routes.Inspect(asked, token)
	if err != nil {
		return nil, refuse(http.StatusNotFound, "%w", err)
	}
	return reportOf(found, checks), nil
}

func showCheck(c verify.Check) inspectedCheck {
	shown := inspectedCheck{Name: c.Name, Result: checkOK}
	switch {
	case c.Elsewhere:
		shown.Result, shown.Reason = checkSkipped, "not asked for: a request would ask a program elsewhere"
	case c.Skipped:
		shown.Result, shown.Reason = checkSkipped, needsEarlier
	case c.Err != nil:
		shown.Result, shown.Reason = checkFail, c.Err.Error()
		if refused, ok := errors.AsType[*verify.Error](c.Err); ok {
			shown.Option = refused.Option
			if refused.Description != "" {
				shown.Reason = refused.Reason()
			}
		}
	}
	return shown
}

// checkConfirmation says what the token is bound to (RFC 7800 §3.1): no request is there that could
// show it.
func checkConfirmation(t *verify.Token) inspectedCheck {
	check := inspectedCheck{Name: "confirmation", Result: checkOK}
	bound, err := verify.ParseConfirmation(t.Claims["cnf"])
	switch {
	case err != nil:
		check.Result, check.Reason = checkFail, "the token is bound to a key in a way that is not supported: "+err.Error()
	case bound != verify.Confirmation{}:
		check.Result, check.Reason = checkSkipped, "a request must show the key or the certificate that the token is bound to"
	}
	return check
}

// checkScope is the check that verify.Guard adds (RFC 6750 §3.1, insufficient_scope).
func checkScope(t *verify.Token, required verify.Scope) inspectedCheck {
	check := inspectedCheck{Name: "scope", Result: checkOK}
	switch {
	case len(required) == 0:
		check.Result, check.Reason = checkSkipped, "no scope was given"
	case t == nil || t.Claims == nil:
		check.Result, check.Reason = checkSkipped, "cannot be checked, since an earlier check failed"
	case !t.Scope.Includes(required):
		check.Result, check.Reason = checkFail, "the token does not have the required scope"
	}
	return check
}
