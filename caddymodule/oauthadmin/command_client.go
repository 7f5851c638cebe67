package oauthadmin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
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
	show, update, rotate := clientShowCommand(), clientUpdateCommand(), clientRotateCommand()
	return family("client", "Adds, shows, changes and removes clients", `
Manages the clients (RFC 6749 section 2) that are added at run time, beside those
of the configuration.`, add, list, show, update, rotate, remove)
}

func clientShowCommand() *cobra.Command {
	show := leaf("show <id>", "Shows one client", cmdClientShow)
	show.Long = `
Shows what is known of a client, but for its secrets: of those it says until when
each is good.`
	show.Example = `  $ caddy oauth client show billing`
	return show
}

func clientUpdateCommand() *cobra.Command {
	update := leaf("update <id>", "Changes a client", cmdClientUpdate)
	update.Long = `
Changes a client: what a flag names is replaced as a whole, and what --unset names
is taken away. All else stays, also its secret. No token ends by it: those that it
has stay good for what they say. Change a client of the configuration there.`
	update.Example = `  $ caddy oauth client update billing --scope "orders:read orders:write" --access-token-ttl 5m
  $ caddy oauth client update billing --unset audience`
	addOptions(update.Flags(), new(tokenep.Client))
	update.Flags().StringArray("unset", nil, "What is taken away, by the name of its flag, such as audience (repeatable)")
	return update
}

func clientRotateCommand() *cobra.Command {
	rotate := leaf("rotate <id>", "Gives a client a new secret and prints it", cmdClientRotate)
	rotate.Long = `
Gives a client a new secret, which is written to standard output. The one that it
has stays good for --overlap; without it, it ends at once. No token ends by it.`
	rotate.Example = `  $ secret=$(caddy oauth client rotate billing --overlap 24h)`
	rotate.Flags().String("overlap", "", "How long the old secret stays good, such as 24h or 7d (default: it ends at once)")
	return rotate
}

func cmdClientAdd(fl caddycmd.Flags) (int, error) {
	client := tokenep.Client{ID: fl.Arg(0)}
	if err := readOptions(fl, &client); err != nil {
		return failed(err)
	}
	if fl.Bool("public") {
		if client.AuthMethod != "" && !client.Public() {
			return failed(misuse("--public and --auth-method exclude each other"))
		}
		client.AuthMethod = tokenep.AuthNone
	}
	if err := readKeysOf(&client); err != nil {
		return failed(err)
	}
	var made madeClient
	if err := callAdmin(fl, http.MethodPost, []string{"clients"}, nil, client, &made); err != nil {
		return failed(err)
	}
	if len(made.Client.Audience) == 0 {
		say("Without --audience, the tokens of client %q are for the audience of the server.", made.Client.ID)
	}
	if len(made.Client.Scope) == 0 {
		say("Without --scope, the tokens of client %q have none.", made.Client.ID)
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

// readKeysOf reads the file with the keys of a client: it is here, and Caddy may be elsewhere.
func readKeysOf(c *tokenep.Client) (err error) {
	if c.JWKSFile != "" {
		c.JWKS, err = verify.ReadKeyFile(c.JWKSFile, maxAnswer)
		c.JWKSFile = ""
	}
	return err
}

func cmdClientShow(fl caddycmd.Flags) (int, error) {
	var members map[string]json.RawMessage
	if err := callAdmin(fl, http.MethodGet, []string{"clients", fl.Arg(0)}, nil, nil, &members); err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(members)
	}
	rows := [][]string{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value := string(members[name])
		var text string
		var list []string
		var seconds int64
		var secrets []liveSecret
		switch {
		case name == "live_secrets" && json.Unmarshal(members[name], &secrets) == nil:
			value = printSecrets(secrets)
		case name == "client_id_issued_at" && json.Unmarshal(members[name], &seconds) == nil:
			value = printTime(time.Unix(seconds, 0))
		case json.Unmarshal(members[name], &text) == nil:
			value = text
		case json.Unmarshal(members[name], &list) == nil:
			value = strings.Join(list, " ")
		}
		rows = append(rows, []string{name, value})
	}
	return printTable(rows)
}

// printSecrets says how many secrets a client has that are good, and until when each is.
func printSecrets(live []liveSecret) string {
	if len(live) == 0 {
		return "none: all have expired"
	}
	until := make([]string, len(live))
	for i, secret := range live {
		if until[i] = "one until " + secret.Expires; secret.Expires == never {
			until[i] = "one that never expires"
		}
	}
	return fmt.Sprintf("%d: %s", len(live), strings.Join(until, ", "))
}

func cmdClientUpdate(fl caddycmd.Flags) (int, error) {
	var changed tokenep.Client
	if err := readOptions(fl, &changed); err != nil {
		return failed(err)
	}
	if err := readKeysOf(&changed); err != nil {
		return failed(err)
	}
	patch, err := clientPatch(fl, &changed)
	if err != nil {
		return failed(err)
	}
	var made madeClient
	if err := callAdmin(fl, http.MethodPatch, []string{"clients", fl.Arg(0)}, nil, patch, &made); err != nil {
		return failed(err)
	}
	say("Client %q is changed. Its tokens stay as they are.", fl.Arg(0))
	if made.Secret != "" {
		say("It has a secret now, which is shown only once:")
	}
	return printSecret(fl, made.Secret, made)
}

// clientPatch returns the members of a client that the flags change, as a merge patch (RFC 7396).
func clientPatch(fl caddycmd.Flags, changed *tokenep.Client) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(changed)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	unset, err := fl.GetStringArray("unset")
	if err != nil {
		return nil, err
	}
	patch := make(map[string]json.RawMessage)
	for _, o := range adapt.Options(changed) {
		gone := slices.Contains(unset, o.Flag)
		unset = slices.DeleteFunc(unset, func(name string) bool { return name == o.Flag })
		member := o.Member
		if member == "jwks_file" {
			member = "jwks" // see readKeysOf
		}
		switch value, set := members[member]; {
		case gone && fl.Changed(o.Flag):
			return nil, misuse("--%s and --unset %s exclude each other", o.Flag, o.Flag)
		case fl.Changed(o.Flag) && set:
			patch[member] = value
		case gone, fl.Changed(o.Flag): // false, or empty
			patch[member] = json.RawMessage("null")
		}
	}
	switch {
	case len(unset) > 0:
		return nil, misuse("--unset %s: there is no such flag of a client; see --help", unset[0])
	case len(patch) == 0:
		return nil, misuse("there is nothing to change: give a flag, such as --scope, or --unset")
	}
	return patch, nil
}

func cmdClientRotate(fl caddycmd.Flags) (int, error) {
	var asked rotatedClient
	if text := fl.String("overlap"); text != "" {
		overlap, err := tokenep.ParseDuration(text)
		if err != nil {
			return failed(misuse("--overlap: %w", err))
		}
		asked.Overlap = overlap
	}
	var made madeClient
	if err := callAdmin(fl, http.MethodPost, []string{"clients", fl.Arg(0), "rotate"}, nil, asked, &made); err != nil {
		return failed(err)
	}
	if live := made.Client.LiveSecrets; len(live) > 1 {
		say("The old secret of client %q is good until %s. The new one is shown only once:", fl.Arg(0), live[1].Expires)
	} else {
		say("The old secret of client %q has ended. The new one is shown only once:", fl.Arg(0))
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
	return printTable(rows)
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
		return printLine(secret)
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
