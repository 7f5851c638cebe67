package oauthadmin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
)

// oauthCommand is `caddy oauth`. All that it does, but for restore, it does over the admin API of a running Caddy.
func oauthCommand() caddycmd.Command {
	return caddycmd.Command{
		Name:  "oauth",
		Usage: "<command>",
		Short: "Manages the OAuth 2.0 authorization server of a running Caddy",
		Long: `
Manages an oauth_server: the clients and API tokens that were made at run
time, the signing keys, and which access tokens are revoked. It can also get a
token, to try things, say what a token says and whether it would be accepted,
and back the store up.

These commands, but for restore, connect to Caddy's admin API at '` + caddy.DefaultAdminListen + `'. Give
another --address, or a --config to read the address from. Where there is more
than one oauth_server, --server says which.

A secret that is made is written to standard output, alone and once. A secret
that is needed is read from standard input or asked for on the terminal; there
is no flag for one, for flags can be seen by others and are kept in histories.`,
		CobraFunc: func(cmd *cobra.Command) {
			flags := cmd.PersistentFlags()
			flags.String("address", "", "Address of the administration API listener (if --config is not used)")
			flags.StringP("config", "c", "", "Configuration file (if --address is not used)")
			flags.StringP("adapter", "a", "", "Name of config adapter to apply (if --config is used)")
			flags.StringP("server", "s", oauthserver.DefaultName, "Name of the oauth_server")
			flags.Bool("json", false, "Print the answer as JSON")
			cmd.AddCommand(clientCommand(), apiTokenCommand(), keyCommand(), revokeCommand(), tokenCommand(), inspectCommand(), backupCommand(), restoreCommand())
		},
	}
}

// leaf returns a command that runs f with exactly the named arguments.
func leaf(use, short string, f caddycmd.CommandFunc) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(strings.Count(use, "<")),
		RunE:  caddycmd.WrapCommandFuncForCobra(f),
	}
}

// family returns a command that only has other commands.
func family(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long}
	cmd.AddCommand(commands...)
	return cmd
}

// failed is the end of a command that did not do what it was asked to.
func failed(err error) (int, error) { return caddy.ExitCodeFailedStartup, err }

// callAdmin makes a request to the admin API for a resource of the server that the flags name, and decodes the answer into answer, unless that is nil.
func callAdmin(fl caddycmd.Flags, method string, segments []string, query url.Values, body, answer any) error {
	response, err := requestAdmin(fl, method, segments, query, body)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("reading the answer of the admin API: %w", err)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			return fmt.Errorf("the admin API gave an answer that is none: %w", err)
		}
	}
	return nil
}

// requestAdmin makes a request to the admin API, and returns an answer that is no error. Each segment of the path is escaped.
func requestAdmin(fl caddycmd.Flags, method string, segments []string, query url.Values, body any) (*http.Response, error) {
	address, err := caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
	if err != nil {
		return nil, fmt.Errorf("couldn't determine admin API address: %w", err)
	}
	uri := strings.TrimSuffix(basePath, "/")
	for _, segment := range append([]string{fl.String("server")}, segments...) {
		uri += "/" + url.PathEscape(segment)
	}
	if len(query) > 0 {
		uri += "?" + query.Encode()
	}
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	response, err := caddycmd.AdminAPIRequest(address, method, uri, http.Header{}, content)
	if err != nil {
		return nil, adminFailure(err)
	}
	return response, nil
}

// adminFailure takes the message out of what AdminAPIRequest says, which has it as the JSON of the API.
func adminFailure(err error) error {
	if i := strings.Index(err.Error(), `{"error":`); i >= 0 {
		var answer caddy.APIError
		if json.Unmarshal([]byte(err.Error()[i:]), &answer) == nil {
			return errors.New(answer.Message)
		}
	}
	return err
}

// listAll fetches all pages of a list. page makes a request, and returns what to pass as after for the next one.
func listAll(page func(after string) (next string, err error)) error {
	after := ""
	for {
		next, err := page(after)
		if err != nil || next == "" {
			return err
		}
		after = next
	}
}

// printJSON writes v to standard output, indented.
func printJSON(v any) (int, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return failed(err)
	}
	_, _ = fmt.Printf("%s\n", text)
	return caddy.ExitCodeSuccess, nil
}

// printTable writes rows to standard output in aligned columns. An empty cell is a dash, so that columns can be counted.
func printTable(rows [][]string) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		_, _ = fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	_ = table.Flush()
}

func printLine(text string) { _, _ = fmt.Println(text) }

// say writes what is for people to standard error, so that standard output has the result alone.
func say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// printTime is empty for the zero time.
func printTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
