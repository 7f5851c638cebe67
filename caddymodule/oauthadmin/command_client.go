package oauthadmin

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

func clientCommand() *cobra.Command {
	add := leaf("add <id>", "Adds a client and prints its secret", cmdClientAdd)
	add.Long = `
Adds a client, beside those of the configuration, to the server's store. It can
get tokens at once.

The client's secret is generated, and written to standard output. The server
keeps only its hash. A client whose public keys are given has no secret.`
	add.Example = `  $ caddy oauth client add billing --grant client_credentials \
        --scope "orders:read orders:write" --audience https://api.example.com/orders
  $ secret=$(caddy oauth client add reports --grant token_exchange --scope orders:read)`
	flags := add.Flags()
	addOptions(flags, new(tokenep.Client))
	flags.Bool("public", false, "It has no secret: the same as --auth-method none")

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
	client := tokenep.Client{ID: fl.Arg(0)}
	if err := readOptions(fl, &client); err != nil {
		return failed(err)
	}
	if fl.Bool("public") {
		if client.AuthMethod != "" && !client.Public() {
			return failed(errors.New("--public and --auth-method exclude each other"))
		}
		client.AuthMethod = tokenep.AuthNone
	}
	if client.JWKSFile != "" { // it is here, and Caddy may be elsewhere
		keys, err := verify.ReadKeyFile(client.JWKSFile, maxAnswer)
		if err != nil {
			return failed(err)
		}
		client.JWKS, client.JWKSFile = keys, ""
	}
	var made madeClient
	if err := callAdmin(fl, http.MethodPost, []string{"clients"}, nil, client, &made); err != nil {
		return failed(err)
	}
	switch {
	case made.Client.Public():
		say("Client %q is added. It is public: it has no secret.", made.Client.ID)
	case made.Secret == "":
		say("Client %q is added. It has no secret: it signs with its own key.", made.Client.ID)
	default:
		say("Client %q is added. Its secret is shown only once:", made.Client.ID)
	}
	return printSecret(fl, made.Secret, made)
}

func cmdClientList(fl caddycmd.Flags) (int, error) {
	clients := []shownClient{}
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
		created := ""
		switch {
		case c.Configured:
			created = "configured"
		case c.IssuedAt != 0:
			created = printTime(time.Unix(c.IssuedAt, 0))
		}
		rows = append(rows, []string{
			printText(c.ID), printText(c.Name), authMethods(&c.Client), printText(shortGrants(c.GrantTypes)), printText(c.Scope.String()), printText(strings.Join(c.Audience, " ")), created,
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

// authMethods returns how a client authenticates: what is said of it, or what follows from what it
// has.
func authMethods(c *tokenep.Client) string {
	switch {
	case len(c.AuthMethods) > 0:
		return strings.Join(c.AuthMethods, ",")
	case c.AuthMethod != "":
		return c.AuthMethod
	case c.NeedsSecret():
		return "secret"
	}
	return tokenep.AuthPrivateKeyJWT
}

// shortGrants returns grant types by their names in a configuration.
func shortGrants(types []string) string {
	short := make([]string, len(types))
	for i, grantType := range types {
		short[i] = tokenep.GrantName(grantType)
	}
	return strings.Join(short, " ")
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
