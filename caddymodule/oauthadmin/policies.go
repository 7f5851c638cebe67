package oauthadmin

import (
	"errors"
	"net/http"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
)

// policyInfo is a policy, as it is listed.
type policyInfo struct {
	Policy string   `json:"policy"`
	Source string   `json:"source"` // whose tokens it is for
	Grants []string `json:"grants"`
	DryRun bool     `json:"dry_run,omitempty"`
}

// listPolicies lists the policies for tokens of others, in their order.
func listPolicies(r *request) (any, error) {
	all := []policyInfo{}
	for _, source := range r.server.Server().Config.Subjects {
		for i := range source.Policies {
			p := &source.Policies[i]
			info := policyInfo{Policy: p.Name, Source: source.Name, Grants: p.Grants, DryRun: p.DryRun}
			if len(info.Grants) == 0 {
				info.Grants = []string{grant.TokenExchangeType}
			}
			all = append(all, info)
		}
	}
	return all, nil
}

// policyTest is the request to say what the policies for tokens of others make of one.
type policyTest struct {
	Token     string `json:"token"`
	TokenType string `json:"token_type,omitempty"` // default: that of a JWT, or of the sources
	Grant     string `json:"grant,omitempty"`      // jwt_bearer; default: token_exchange
	ClientID  string `json:"client_id,omitempty"`  // who would send it; default: nobody
}

// policyTested is the report: what each source makes of the token that could have issued it.
type policyTested struct {
	Accepted bool           `json:"accepted"`
	Sources  []sourceTested `json:"sources"`
}

type sourceTested struct {
	Source   string           `json:"source"`
	Claims   map[string]any   `json:"claims,omitempty"` // can be forged unless all checks passed
	Checks   []inspectedCheck `json:"checks"`
	Policies []policyResult   `json:"policies"`
}

// policyResult is what one policy would do, if all checks passed.
type policyResult struct {
	Policy  string `json:"policy"`
	Result  string `json:"result"`            // ok or fail
	Reason  string `json:"reason,omitempty"`  // why it does not admit the token
	DryRun  bool   `json:"dry_run,omitempty"` // it only logs
	Decides bool   `json:"decides,omitempty"` // it is the one by which an access token is issued

	// What at most the access token says.
	Subject  string         `json:"sub,omitempty"`
	Scope    string         `json:"scope,omitempty"`
	Audience []string       `json:"aud,omitempty"`
	Expires  *time.Time     `json:"expires,omitempty"` // no later
	Extra    map[string]any `json:"claims,omitempty"`
	MayAct   map[string]any `json:"may_act,omitempty"`
	Refresh  bool           `json:"refresh_token,omitempty"` // comes of an exchange as well
}

// testPolicies says check by check what the policies would do.
func testPolicies(r *request) (any, error) {
	in := policyTest{Grant: "token_exchange"}
	if err := r.read(&in); err != nil {
		return nil, err
	}
	grantType := map[string]string{"token_exchange": grant.TokenExchangeType, "jwt_bearer": grant.JWTBearerType}[in.Grant]
	switch {
	case in.Token == "":
		return nil, refuse(http.StatusBadRequest, "token: is required")
	case grantType == "":
		return nil, refuse(http.StatusBadRequest, "grant: there are token_exchange and jwt_bearer")
	}
	trials, err := r.server.Server().TryPolicies(r.Context(), grantType, in.ClientID, in.Token, in.TokenType)
	switch {
	case errors.Is(err, tokenep.InvalidClient):
		return nil, refuse(http.StatusNotFound, "there is no such client")
	case errors.Is(err, server.ErrNoGrant), errors.Is(err, server.ErrOwnToken), errors.Is(err, server.ErrTokenType):
		return nil, refuse(http.StatusBadRequest, "%v", err)
	case err != nil:
		return nil, err
	}
	report := policyTested{Sources: []sourceTested{}}
	for _, trial := range trials {
		report.Accepted = report.Accepted || trial.Decides() != nil
		report.Sources = append(report.Sources, showTrial(trial, grantType))
	}
	return report, nil
}

func showTrial(t *subject.Trial, grantType string) sourceTested {
	shown := sourceTested{Source: t.Source.Name, Checks: []inspectedCheck{}, Policies: []policyResult{}}
	if t.Token != nil {
		shown.Claims = t.Token.Claims
	}
	for _, c := range t.Checks {
		check := showCheck(c)
		if t.Source.Form() != subject.FormOther {
			check.Option = ""
		}
		shown.Checks = append(shown.Checks, check)
	}
	deciding := t.Decides()
	for _, d := range t.Decisions {
		p := policyResult{Policy: d.Policy.Name, Result: checkOK, DryRun: d.Policy.DryRun, Decides: d.Policy == deciding}
		if d.Err != nil {
			p.Result, p.Reason = checkFail, d.Err.Error()
		} else {
			a := d.Authorization
			p.Subject, p.Scope, p.Audience, p.Extra, p.MayAct = a.Subject, a.Scope.String(), a.Audience, a.Extra, a.GiveMayAct
			p.Refresh = a.GiveRefresh && grantType == grant.TokenExchangeType
			if !a.NotAfter.IsZero() {
				p.Expires = &a.NotAfter
			}
		}
		shown.Policies = append(shown.Policies, p)
	}
	return shown
}
