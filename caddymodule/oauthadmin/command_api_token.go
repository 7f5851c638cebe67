package oauthadmin

import (
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
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
	require(create, "owner", "service")
	flags.String("scope", "", "Its largest scope: scope tokens separated by spaces")
	flags.String("name", "", "A name for people")
	flags.String("note", "", "A longer text for people")
	flags.String("expires-in", "", "Its lifetime, such as 30d, or never if the server allows that (default: 90d, or the most that the server allows if that is less)")
	flags.String("not-before", "", "When it becomes good, such as 2026-01-31T08:00:00Z (default: at once)")
	flags.StringArray("allow-from", nil, "An address or block, such as 192.0.2.0/24, from which alone it can be used (can be repeated)")
	flags.StringArray("deny-from", nil, "An address or block from which it cannot be used (can be repeated)")
	flags.String("rate", "", "How often it can be used, and what it is exchanged for, at each node, such as 100/1m")
	flags.String("quota", "", "How often it can be exchanged, at all nodes together, such as 1000/1d")

	list := leaf("list", "Lists the API tokens", cmdAPITokenList)
	list.Long = `
Lists the API tokens, or those of one owner, ordered by id. The id is the part of
a token between the first and the second underscore.`
	list.Example = `  $ caddy oauth api-token list --owner alice`
	list.Flags().String("owner", "", "Only the tokens of this user")

	roll := leaf("roll <id>", "Gives an API token a new secret and prints it", cmdAPITokenRoll)
	roll.Long = `
Gives an API token a new secret. Its id stays, and all else. The old secret stays
good for --overlap; without it, it ends at once, together with the access tokens
that came of it. The new text is written to standard output.`
	roll.Example = `  $ token=$(caddy oauth api-token roll 4oK2iTqQ0Zl7 --overlap 24h)`
	roll.Flags().String("overlap", "", "How long the old secret stays good, 7d at most (default: it ends at once)")
	revoke := leaf("revoke <id>", "Revokes an API token", cmdAPITokenRevoke)
	revoke.Long = `
Revokes an API token. It can no longer be exchanged, and the access tokens that
it was exchanged for are refused at once.`
	revoke.Example = `  $ caddy oauth api-token revoke 4oK2iTqQ0Zl7 --reason "the laptop is lost"`
	revoke.Flags().String("reason", "", "Why, for people")
	all := leaf("revoke-all <owner>", "Revokes all API tokens of an owner", cmdAPITokenRevokeAll)
	all.Long = `
Revokes all API tokens of an owner. If it fails, it can be repeated: it goes on
where it ended.`
	all.Example = `  $ caddy oauth api-token revoke-all alice --reason "has left"`
	all.Flags().String("reason", "", "Why, for people")
	return family("api-token", "Creates, lists, rolls and revokes API tokens", `
Manages API tokens: long-lived credentials of users for their programs, which
exchange them for access tokens (RFC 8693).`, create, list, roll, revoke, all, apiTokenImportCommand())
}

func cmdAPITokenCreate(fl caddycmd.Flags) (int, error) {
	asked, err := askedAPIToken(fl)
	if err != nil {
		return failed(err)
	}
	var made madeAPIToken
	if err := callAdmin(fl, http.MethodPost, []string{"api_tokens"}, nil, asked, &made); err != nil {
		return failed(err)
	}
	return printMadeAPIToken(fl, &made)
}

// never is the lifetime of a token that does not expire.
const never = "never"

// askedAPIToken returns the API token that the flags ask for.
func askedAPIToken(fl caddycmd.Flags) (asked newAPIToken, err error) {
	asked = newAPIToken{Name: fl.String("name"), Note: fl.String("note"), Owner: fl.String("owner"), Service: fl.String("service")}
	if asked.Scope, err = scopeFlag(fl, "scope"); err != nil {
		return asked, err
	}
	switch text := fl.String("expires-in"); text {
	case "":
	case never:
		asked.NoExpiry = true
	default:
		life, err := caddy.ParseDuration(text)
		if err != nil {
			return asked, misuse("--expires-in: %w; write a time such as 90d, or never", err)
		}
		asked.ExpiresIn = caddy.Duration(life)
	}
	if text := fl.String("not-before"); text != "" {
		if asked.NotBefore, err = time.Parse(time.RFC3339, text); err != nil {
			return asked, misuse("--not-before: %.60q is not a time such as 2026-01-31T08:00:00Z", text)
		}
	}
	for name, into := range map[string]*[]string{"allow-from": &asked.AllowFrom, "deny-from": &asked.DenyFrom} {
		if *into, err = listFlag(fl, name, func(blocks []string, right adapt.Written) error {
			return adapt.CheckNames(blocks, "blocks of addresses", right)
		}); err != nil {
			return asked, err
		}
	}
	for name, into := range map[string]*verify.Rate{"rate": &asked.Rate, "quota": &asked.Quota} {
		if *into, err = verify.ParseRate(fl.String(name)); err != nil {
			return asked, misuse("--%s: %w", name, err)
		}
	}
	return asked, nil
}

func cmdAPITokenRoll(fl caddycmd.Flags) (int, error) {
	var asked rolledAPIToken
	if text := fl.String("overlap"); text != "" {
		overlap, err := caddy.ParseDuration(text)
		if err != nil {
			return failed(misuse("--overlap: %w", err))
		}
		asked.Overlap = caddy.Duration(overlap)
	}
	var made madeAPIToken
	if err := callAdmin(fl, http.MethodPost, []string{"api_tokens", fl.Arg(0), "roll"}, nil, asked, &made); err != nil {
		return failed(err)
	}
	if until := made.APIToken.OldUntil; until.IsZero() {
		say("The old secret of API token %s has ended, and so have the access tokens that it was exchanged for.", fl.Arg(0))
	} else {
		say("The old secret of API token %s is good until %s.", fl.Arg(0), printTime(until))
	}
	return printMadeAPIToken(fl, &made)
}

func printMadeAPIToken(fl caddycmd.Flags, made *madeAPIToken) (int, error) {
	t := &made.APIToken
	until := "it is revoked"
	if !t.NoExpiry {
		until = printTime(t.Expires)
	}
	if len(t.Scope) == 0 {
		say("What API token %s is exchanged for has no scope, and a route that asks for one refuses it.", t.ID)
	}
	say("API token %s of %s for %s is valid until %s. It is shown only once:", t.ID, printText(t.Owner), printText(t.Service), until)
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
			printExpiry(t), printTime(t.LastUsed), apiTokenState(t, time.Now()),
		})
	}
	return printTable(rows)
}

func printExpiry(t *state.APIToken) string {
	if t.NoExpiry {
		return never
	}
	return printTime(t.Expires)
}

func apiTokenState(t *state.APIToken, now time.Time) string {
	switch {
	case !t.Revoked.IsZero() && t.Reason != "":
		return "revoked: " + t.Reason
	case !t.Revoked.IsZero():
		return "revoked"
	case t.Expired(now):
		return "expired"
	case now.Before(t.NotBefore):
		return "not good before " + printTime(t.NotBefore)
	default:
		return "live"
	}
}

func cmdAPITokenRevoke(fl caddycmd.Flags) (int, error) {
	why := revokedAPIToken{Reason: fl.String("reason")}
	if err := callAdmin(fl, http.MethodPost, []string{"api_tokens", fl.Arg(0), "revoke"}, nil, why, nil); err != nil {
		return failed(err)
	}
	say("API token %s is revoked, and so are the access tokens that it was exchanged for.", fl.Arg(0))
	return caddy.ExitCodeSuccess, nil
}

func cmdAPITokenRevokeAll(fl caddycmd.Flags) (int, error) {
	asked := revokedAPITokens{Owner: fl.Arg(0), Reason: fl.String("reason")}
	var done revokedCount
	if err := callAdmin(fl, http.MethodPost, []string{"api_tokens", "revoke"}, nil, asked, &done); err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(done)
	}
	if owner := printText(asked.Owner); done.Revoked == 1 {
		say("1 API token of %s is revoked, and so are the access tokens that it was exchanged for.", owner)
	} else {
		say("%d API tokens of %s are revoked, and so are the access tokens that they were exchanged for.", done.Revoked, owner)
	}
	return caddy.ExitCodeSuccess, nil
}
