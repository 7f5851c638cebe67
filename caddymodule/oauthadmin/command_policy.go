package oauthadmin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func policyCommand() *cobra.Command {
	test := leaf("test", "Shows what the policies would make of a token of somebody else", cmdPolicyTest)
	test.Long = `
Reads a token that somebody else has issued from standard input, or asks for it on the
terminal. It prints its claims, then the checks of its source in their order, and then
each policy: ok with what the access token would say, or FAIL with the reason. The policy
that decides has an arrow. Nothing is issued, and nothing is spent. A token that is no
JWT of a known issuer is shown to the sources for its type, as in a request.

The exit code is 0 if a policy would issue an access token, and 1 if none would.`
	test.Example = `  $ echo "$ACTIONS_ID_TOKEN" | caddy oauth policy test --client deploy
  $ caddy oauth policy test --grant jwt_bearer < assertion.jwt`
	test.Flags().String("client", "", "The client that would send it (default: nobody)")
	test.Flags().String("type", "", "The subject_token_type (default: that of a JWT; of anything else, that of the sources)")
	test.Flags().String("grant", "token_exchange", "The grant: token_exchange or jwt_bearer")
	list := leaf("list", "Lists the policies", cmdPolicyList)
	list.Long = `
Lists the policies for tokens of others, and the sources of these.`
	list.Example = `  $ caddy oauth policy list`
	return family("policy", "Lists and tests the policies for tokens of others", `
Policies say what comes of tokens that others have issued: see the option subject.`, list, test)
}

func cmdPolicyList(fl caddycmd.Flags) (int, error) {
	policies, err := fetchPolicies(fl)
	if err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(policies)
	}
	rows := [][]string{{"POLICY", "SOURCE", "GRANTS", "DRY RUN"}}
	for _, p := range policies {
		dry := ""
		if p.DryRun {
			dry = "yes"
		}
		rows = append(rows, []string{p.Policy, printText(p.Source), printText(strings.Join(p.Grants, " ")), dry})
	}
	return printTable(rows)
}

func fetchPolicies(fl caddycmd.Flags) (policies []policyInfo, err error) {
	err = callAdmin(fl, http.MethodGet, []string{"policies"}, nil, nil, &policies)
	return policies, err
}

func cmdPolicyTest(fl caddycmd.Flags) (int, error) {
	token, err := readSecret("the token")
	if err != nil {
		return failed(err)
	}
	asked := policyTest{Token: strings.TrimSpace(token), TokenType: fl.String("type"), Grant: fl.String("grant"), ClientID: fl.String("client")}
	var raw json.RawMessage
	if err := callAdmin(fl, http.MethodPost, []string{"policies", "test"}, nil, asked, &raw); err != nil {
		return failed(err)
	}
	var report policyTested
	if err := json.Unmarshal(raw, &report); err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		if code, err := printJSON(raw); err != nil {
			return code, err
		}
	} else {
		for _, s := range report.Sources {
			if err := s.print(); err != nil {
				return failed(err)
			}
		}
	}
	switch {
	case len(report.Sources) == 0:
		return failed(reported{errors.New("no access token: it is of no source that has policies")})
	case !report.Accepted:
		return failed(reported{errors.New("no access token: no policy admits it")})
	}
	say("An access token would be issued.")
	return caddy.ExitCodeSuccess, nil
}

// print writes the claims, the checks, and what each policy would do.
func (s *sourceTested) print() error {
	if _, err := printLine(printText(s.Source)); err != nil {
		return err
	}
	if s.Claims != nil {
		if _, err := printJSON(s.Claims); err != nil {
			return err
		}
	}
	rows := make([][]string, 0, len(s.Checks)+len(s.Policies))
	mark := map[string]string{checkOK: "ok", checkFail: "FAIL"}
	for _, c := range s.Checks {
		rows = append(rows, []string{"", mark[c.Result], c.Name, c.why()})
	}
	for _, p := range s.Policies {
		arrow, says := "", p.Reason
		if p.Decides {
			arrow = "→"
		}
		if p.Result == checkOK {
			says = fmt.Sprintf("sub %s, scope %q, aud %q", p.Subject, p.Scope, p.Audience)
			if p.MayAct != nil {
				members, _ := json.Marshal(p.MayAct) // texts have a JSON form
				says += ", may_act " + string(members)
			}
			if p.Refresh {
				says += ", and a refresh token"
			}
			if p.Expires != nil {
				says += ", until " + printTime(*p.Expires)
			}
		}
		if p.DryRun {
			says = "(dry run) " + says
		}
		rows = append(rows, []string{arrow, mark[p.Result], "policy " + p.Policy, says})
	}
	_, err := printTable(rows)
	return err
}
