package oauthadmin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"
)

func inspectCommand() *cobra.Command {
	cmd := leaf("inspect", "Shows what a token says, and whether it would be accepted", cmdInspect)
	cmd.Long = `
Reads an access token from standard input, or asks for it on the terminal, and
prints its header and claims. Then it lists the checks of the server's verifier in
their order: ok, FAIL with the reason and, with --url, the option that would let
the token in, or a dash for a check that was skipped.

The exit code is 0 if the token would be accepted, and 1 if it would not. With
--url the rules are those of the route that such a request would come to: in the
running configuration or, with --config, in that file, with no Caddy running. Then
the token must be of an issuer elsewhere: the keys of an oauth_server are known to
a running Caddy alone. Otherwise give --audience and --scope as the route has them:
without them every audience and scope passes.`
	cmd.Example = `  $ echo "$TOKEN" | caddy oauth inspect --audience https://api.example.com/orders --scope orders:read
  $ echo "$TOKEN" | caddy oauth inspect --url https://api.example.com/orders/17 --method POST
  $ echo "$TOKEN" | caddy oauth inspect --url https://api.example.com/mcp --method POST \
        --header 'MCP-Protocol-Version: 2026-07-28' --header 'Mcp-Method: tools/list' --from 192.0.2.1
  $ caddy oauth token --client billing < secret.txt | caddy oauth inspect`
	flags := cmd.Flags()
	flags.String("url", "", "URL of a request: the rules are those of its route")
	flags.String("method", http.MethodGet, "Method of that request")
	flags.StringArray("header", nil, "Header of that request, as 'Name: value' (repeatable)")
	flags.String("from", "", "Address that it comes from (default: 127.0.0.1)")
	flags.StringArray("audience", nil, "Audience that is accepted (repeatable)")
	flags.String("scope", "", "Scope that is required: scope tokens separated by spaces")
	return cmd
}

func cmdInspect(fl caddycmd.Flags) (int, error) {
	scope, err := scopeFlag(fl, "scope")
	if err != nil {
		return failed(err)
	}
	audience, err := audienceFlag(fl, "audience")
	if err != nil {
		return failed(err)
	}
	asked, err := routeFlags(fl)
	if err != nil {
		return failed(err)
	}
	if asked.URL != "" && len(audience)+len(scope) > 0 {
		return failed(misuse("--url takes audience and scope from the route: leave --audience and --scope out"))
	}
	token, err := readSecret("the access token")
	if err != nil {
		return failed(err)
	}
	token = strings.TrimSpace(token)
	var raw json.RawMessage
	if asked.Token = token; asked.URL != "" {
		err = callRoute(fl, asked, &raw)
	} else {
		err = callAdmin(fl, http.MethodPost, []string{"inspect"}, nil, inspection{Token: token, Scope: scope, Audience: audience}, &raw)
	}
	if err != nil {
		return failed(err)
	}
	var report inspected
	if err := json.Unmarshal(raw, &report); err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		if code, err := printJSON(raw); err != nil {
			return code, err
		}
	} else if err := report.print(raw); err != nil {
		return failed(err)
	}
	if !report.Accepted {
		return failed(reported{errors.New("the token would be refused: " + report.refusal())})
	}
	if unchecked := report.unchecked(); len(unchecked) > 0 {
		say("The token would be accepted, as far as that is known. What was not checked: %s.", strings.Join(unchecked, ", "))
	} else {
		say("The token would be accepted.")
	}
	return caddy.ExitCodeSuccess, nil
}

// routeFlags returns what the flags say of a request. Its URL is empty if there is none.
func routeFlags(fl caddycmd.Flags) (asked routeInspection, err error) {
	asked = routeInspection{URL: fl.String("url"), Method: fl.String("method"), Header: make(http.Header)}
	fields, err := fl.GetStringArray("header")
	if err != nil {
		return asked, err
	}
	for _, field := range fields {
		name, value, ok := strings.Cut(field, ":")
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return asked, misuse("header %q: must be a name and a value, such as 'Mcp-Method: tools/list'", field)
		}
		asked.Header.Add(name, strings.TrimSpace(value))
	}
	if from := fl.String("from"); from != "" {
		if asked.From, err = netip.ParseAddr(from); err != nil {
			return asked, misuse("from %q: must be an IP address, such as 192.0.2.1", from)
		}
	}
	if asked.URL == "" && (fl.Changed("method") || len(asked.Header)+len(fl.String("from")) > 0) {
		return asked, misuse("method, header and from are those of a request: give its URL with --url")
	}
	return asked, nil
}

// callRoute asks what a route would make of a token: one of a configuration file, or of the Caddy
// that runs.
func callRoute(fl caddycmd.Flags, asked routeInspection, answer *json.RawMessage) error {
	r, err := asked.request(context.Background()) // of the process: a command has none
	if err != nil {
		return misuse("--%w", err)
	}
	if fl.String("config") != "" {
		report, err := askConfig(fl, r, asked.Token)
		if err == nil {
			*answer, err = json.Marshal(report)
		}
		return err
	}
	response, err := requestURI(fl, http.MethodPost, routePath, asked)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	return decodeAnswer(response, answer)
}

// askConfig provisions a configuration as "caddy validate" does, and asks it.
func askConfig(fl caddycmd.Flags, r *http.Request, token string) (*inspected, error) {
	text, file, _, err := caddycmd.LoadConfig(fl.String("config"), fl.String("adapter"))
	if err != nil {
		return nil, err
	}
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(text, &config); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", file, err)
	}
	// No log of that Caddy is opened.
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "ERROR"}}}}
	provisioned, err := caddy.ProvisionContext(&config)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", file, err)
	}
	return inspectIn(provisioned, r, token)
}

// print writes header and claims as they came, so that no number is rounded, its times as people
// read them, and then the checks. Those that an earlier failure leaves open are one line.
func (i *inspected) print(raw json.RawMessage) error {
	var said struct {
		Header json.RawMessage `json:"header"`
		Claims json.RawMessage `json:"claims"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return err
	}
	for _, part := range []json.RawMessage{said.Header, said.Claims} {
		if part == nil {
			continue
		}
		if _, err := printJSON(part); err != nil {
			return err
		}
	}
	if err := i.printTimes(time.Now()); err != nil {
		return err
	}
	rows, open := make([][]string, 0, len(i.Checks)), 0
	for _, c := range i.Checks {
		if c.Reason == needsEarlier {
			open++
			continue
		}
		mark := map[string]string{checkOK: "ok", checkFail: "FAIL"}[c.Result]
		row := []string{mark, c.Name}
		if c.Reason != "" {
			row = append(row, c.why())
		}
		rows = append(rows, row)
	}
	if open > 0 {
		rows = append(rows, []string{"", fmt.Sprintf("%d more", open), needsEarlier})
	}
	_, err := printTable(rows)
	return err
}

// printTimes writes the times of the claims, and how far they are from now by the clock here.
func (i *inspected) printTimes(now time.Time) error {
	rows := [][]string{}
	for _, name := range []string{"auth_time", "iat", "nbf", "exp"} {
		seconds, ok := i.Claims[name].(float64)
		if !ok || seconds < 0 || seconds > 1<<40 {
			continue
		}
		at := time.Unix(int64(seconds), 0)
		apart := at.Sub(now).Abs().Truncate(time.Second)
		distance := apart.String()
		if days := apart / (24 * time.Hour); days > 1 {
			distance = fmt.Sprintf("%d days", days)
		}
		if at.After(now) {
			distance = "in " + distance
		} else {
			distance += " ago"
		}
		rows = append(rows, []string{name, printTime(at), distance})
	}
	_, err := printTable(rows)
	return err
}

// unchecked returns the checks that could not be made, for want of what is to be compared with.
func (i *inspected) unchecked() (names []string) {
	for _, c := range i.Checks {
		if c.Result == checkSkipped {
			names = append(names, c.Name)
		}
	}
	return names
}

// refusal returns the reason of a verifier, which is the first check that fails.
func (i *inspected) refusal() string {
	for _, c := range i.Checks {
		if c.Result == checkFail {
			return fmt.Sprintf("%s: %s", c.Name, c.Reason)
		}
	}
	return "a check was skipped"
}
