package oauthadmin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
)

func clientCommand() *cobra.Command {
	add := leaf("add <id>", "Adds a client and prints its secret", cmdClientAdd)
	add.Long = `
Adds a client, beside those of the configuration, to the server's store. It can
get tokens at once.

The client's secret is generated, and written to standard output. The server
keeps only its hash.`
	add.Example = `  $ caddy oauth client add billing --grant client_credentials \
        --scope "orders:read orders:write" --audience https://api.example.com/orders
  $ secret=$(caddy oauth client add reports --grant token_exchange --scope orders:read)`
	flags := add.Flags()
	flags.String("name", "", "A name for people")
	flags.StringSliceP("grant", "g", nil, "Grant it may use: client_credentials or token_exchange (repeatable)")
	flags.String("scope", "", "Scope it may ask for: scope tokens separated by spaces")
	flags.String("default-scope", "", "Scope of its tokens if it asks for none (default: all of --scope)")
	flags.StringArray("audience", nil, "Resource its tokens may be for (repeatable)")
	flags.String("auth-method", "", "How it must authenticate: client_secret_basic or client_secret_post (default: either)")
	flags.Bool("public", false, "Add a public client, without a secret")
	flags.String("access-token-ttl", "", "Lifetime of its access tokens, such as 15m (default: the server's)")
	flags.StringArray("exchange-from", nil, "Other client whose access tokens it may exchange, or * (repeatable)")

	list := leaf("list", "Lists the clients", cmdClientList)
	list.Long = `
Lists the clients, including those of the configuration, ordered by id.`
	list.Example = `  $ caddy oauth client list
  $ caddy oauth client list --json`
	remove := leaf("remove <id>", "Removes a client", cmdClientRemove)
	remove.Long = `
Removes a client. It can no longer authenticate, and its access tokens are refused
at once. Remove a client of the configuration there.`
	remove.Example = `  $ caddy oauth client remove billing`
	return family("client", "Adds, lists and removes clients", `
Manages the clients (RFC 6749 section 2) that are added at run time, beside those
of the configuration.`, add, list, remove)
}

func cmdClientAdd(fl caddycmd.Flags) (int, error) {
	client := adminClient{
		ID: fl.Arg(0), Name: fl.String("name"), AuthMethod: fl.String("auth-method"),
		Scope: strings.Fields(fl.String("scope")), DefaultScope: strings.Fields(fl.String("default-scope")),
	}
	client.Grants, _ = fl.GetStringSlice("grant")
	client.Audience, _ = fl.GetStringArray("audience")
	client.ExchangeFrom, _ = fl.GetStringArray("exchange-from")
	if fl.Bool("public") {
		client.AuthMethod = tokenep.AuthNone
	}
	if text := fl.String("access-token-ttl"); text != "" {
		ttl, err := caddy.ParseDuration(text)
		if err != nil {
			return failed(err)
		}
		client.AccessTokenTTL = caddy.Duration(ttl)
	}
	var made madeClient
	if err := callAdmin(fl, http.MethodPost, []string{"clients"}, nil, client, &made); err != nil {
		return failed(err)
	}
	if made.Secret == "" {
		say("Client %q is added. It is public: it has no secret.", made.Client.ID)
	} else {
		say("Client %q is added. Its secret is shown only once:", made.Client.ID)
	}
	return printSecret(fl, made.Secret, made)
}

func cmdClientList(fl caddycmd.Flags) (int, error) {
	clients := []adminClient{}
	err := listAll(func(after string) (string, error) {
		var page clientPage
		err := callAdmin(fl, http.MethodGet, []string{"clients"}, url.Values{"after": {after}}, nil, &page)
		clients = append(clients, page.Clients...)
		return page.Next, err
	})
	if err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(clients)
	}
	rows := [][]string{{"ID", "NAME", "AUTH", "GRANTS", "SCOPE", "AUDIENCE", "CREATED"}}
	for i := range clients {
		c := &clients[i]
		created := printTime(c.Created)
		if c.Configured {
			created = "configured"
		}
		auth := c.AuthMethod
		if auth == "" {
			auth = "secret"
		}
		rows = append(rows, []string{
			printText(c.ID), printText(c.Name), auth, shortGrants(c.Grants), strings.Join(c.Scope, ","), strings.Join(c.Audience, ","), created,
		})
	}
	printTable(rows)
	return caddy.ExitCodeSuccess, nil
}

func cmdClientRemove(fl caddycmd.Flags) (int, error) {
	if err := callAdmin(fl, http.MethodDelete, []string{"clients", fl.Arg(0)}, nil, nil, nil); err != nil {
		return failed(err)
	}
	say("Client %q is removed. Its access tokens are revoked.", fl.Arg(0))
	return caddy.ExitCodeSuccess, nil
}

// shortGrants returns grant types by their names in a configuration.
func shortGrants(types []string) string {
	short := slices.Clone(types)
	for i := range short {
		if short[i] == grant.TokenExchangeType {
			short[i] = "token_exchange"
		}
	}
	return strings.Join(short, ",")
}

// printSecret writes a new secret, and nothing else, to standard output; or with --json the whole
// answer.
func printSecret(fl caddycmd.Flags, secret string, answer any) (int, error) {
	if fl.Bool("json") {
		return printJSON(answer)
	}
	if secret != "" {
		printLine(secret)
	}
	return caddy.ExitCodeSuccess, nil
}

// printText quotes a text with spaces, so that it is one word in a table.
func printText(s string) string {
	if strings.ContainsAny(s, " \"") {
		return strconv.Quote(s)
	}
	return s
}
