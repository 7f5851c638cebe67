package oauthadmin

import (
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

func apiTokenCommand() *cobra.Command {
	create := leaf("create", "Creates an API token and prints it", cmdAPITokenCreate)
	create.Long = `
Creates an API token: a credential for a program of --owner, which exchanges it
for access tokens to --service with at most --scope.

The token is written to standard output. The server keeps only its hash.`
	create.Example = `  $ caddy oauth api-token create --owner alice --service https://api.example.com/orders \
        --scope orders:read --expires-in 90d --name "nightly report"
  $ token=$(caddy oauth api-token create --owner alice --service https://api.example.com/orders)`
	flags := create.Flags()
	flags.String("owner", "", "The user it acts for: sub of the access tokens (required)")
	flags.String("service", "", "The service it is for: aud of the access tokens (required)")
	flags.String("scope", "", "Its largest scope: scope tokens separated by spaces")
	flags.String("name", "", "A name for people")
	flags.String("expires-in", "", "Its lifetime, such as 90d (default: the longest that the server allows)")

	list := leaf("list", "Lists the API tokens", cmdAPITokenList)
	list.Long = `
Lists the API tokens, or those of one owner, ordered by id. The id is the part of
a token between the first and the second underscore.`
	list.Example = `  $ caddy oauth api-token list --owner alice`
	list.Flags().String("owner", "", "Only the tokens of this user")

	rotate := leaf("rotate <id>", "Replaces an API token by a new one and prints it", cmdAPITokenRotate)
	rotate.Long = `
Creates an API token with the owner, service, scope and expiry of an old one, and
revokes the old one. The new token is written to standard output.`
	rotate.Example = `  $ token=$(caddy oauth api-token rotate 4oK2iTqQ0Zl7)`
	revoke := leaf("revoke <id>", "Revokes an API token", cmdAPITokenRevoke)
	revoke.Long = `
Revokes an API token. It can no longer be exchanged, and the access tokens that
it was exchanged for are refused at once.`
	revoke.Example = `  $ caddy oauth api-token revoke 4oK2iTqQ0Zl7`
	return family("api-token", "Creates, lists, rotates and revokes API tokens", `
Manages API tokens: long-lived credentials of users for their programs, which
exchange them for access tokens (RFC 8693).`, create, list, rotate, revoke)
}

func cmdAPITokenCreate(fl caddycmd.Flags) (int, error) {
	scope, err := scopeFlag(fl, "scope")
	if err != nil {
		return failed(err)
	}
	asked := newAPIToken{Name: fl.String("name"), Owner: fl.String("owner"), Service: fl.String("service"), Scope: scope}
	if text := fl.String("expires-in"); text != "" {
		life, err := caddy.ParseDuration(text)
		if err != nil {
			return failed(err)
		}
		asked.ExpiresIn = caddy.Duration(life)
	}
	var made madeAPIToken
	if err := callAdmin(fl, http.MethodPost, []string{"api_tokens"}, nil, asked, &made); err != nil {
		return failed(err)
	}
	return printMadeAPIToken(fl, &made)
}

func cmdAPITokenRotate(fl caddycmd.Flags) (int, error) {
	var made madeAPIToken
	if err := callAdmin(fl, http.MethodPost, []string{"api_tokens", fl.Arg(0), "rotate"}, nil, nil, &made); err != nil {
		return failed(err)
	}
	say("API token %s is revoked, and so are the access tokens that it was exchanged for.", fl.Arg(0))
	return printMadeAPIToken(fl, &made)
}

func printMadeAPIToken(fl caddycmd.Flags, made *madeAPIToken) (int, error) {
	t := &made.APIToken
	say("API token %s of %s for %s is valid until %s. It is shown only once:", t.ID, printText(t.Owner), printText(t.Service), printTime(t.Expires))
	return printSecret(fl, made.Token, made)
}

func cmdAPITokenList(fl caddycmd.Flags) (int, error) {
	tokens := []state.APIToken{}
	err := listAll(func(after string) (string, error) {
		var page apiTokenPage
		query := url.Values{"after": {after}, "owner": {fl.String("owner")}}
		err := callAdmin(fl, http.MethodGet, []string{"api_tokens"}, query, nil, &page)
		tokens = append(tokens, page.APITokens...)
		return page.Next, err
	})
	if err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(tokens)
	}
	rows := [][]string{{"ID", "NAME", "OWNER", "SERVICE", "SCOPE", "EXPIRES", "LAST USED", "STATE"}}
	for i := range tokens {
		t := &tokens[i]
		rows = append(rows, []string{
			t.ID, printText(t.Name), printText(t.Owner), printText(t.Service), printText(t.Scope.String()),
			printTime(t.Expires), printTime(t.LastUsed), apiTokenState(t, time.Now()),
		})
	}
	printTable(rows)
	return caddy.ExitCodeSuccess, nil
}

func apiTokenState(t *state.APIToken, now time.Time) string {
	switch {
	case !t.Revoked.IsZero():
		return "revoked"
	case !now.Before(t.Expires):
		return "expired"
	default:
		return "live"
	}
}

func cmdAPITokenRevoke(fl caddycmd.Flags) (int, error) {
	if err := callAdmin(fl, http.MethodPost, []string{"api_tokens", fl.Arg(0), "revoke"}, nil, nil, nil); err != nil {
		return failed(err)
	}
	say("API token %s is revoked, and so are the access tokens that it was exchanged for.", fl.Arg(0))
	return caddy.ExitCodeSuccess, nil
}
