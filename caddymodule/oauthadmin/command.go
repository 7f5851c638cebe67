package oauthadmin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
)

// oauthCommand returns the command `caddy oauth`. Every subcommand but restore uses the admin API
// of a running Caddy.
func oauthCommand() caddycmd.Command {
	return caddycmd.Command{
		Name:  "oauth",
		Usage: "<command>",
		Short: "Manages the OAuth 2.0 authorization server of a running Caddy",
		Long: `
Manages an oauth_server: the clients and API tokens that are added at run time, users
and what they have allowed, the signing keys, and the revocation of access tokens. It
can also get a token, show what a token says and whether it would be accepted, and back
up the store.

The commands connect to Caddy's admin API at '` + caddy.DefaultAdminListen + `', which the variable
CADDY_ADMIN changes; restore and trace do not, nor do 'token --url' and 'inspect --url'
with --config. Use --address for another address, or --config to read it from a
configuration. If there is more than one oauth_server, --server names the one to
manage.

A new secret is written to standard output, once. A secret that a command needs
is read from standard input, or asked for on the terminal. There is no flag for
a secret: others can see flags, and shells keep them in their history.

It exits with 1 if what was asked for is refused, with 2 if the command line makes
no sense, and with 3 if no Caddy answers. With --json, an error is written to
standard output too: {"error": "…", "exit_code": 1}.`,
		CobraFunc: func(cmd *cobra.Command) {
			flags := cmd.PersistentFlags()
			flags.String("address", "", "Address of the administration API listener (if --config is not used)")
			flags.StringP("config", "c", "", "Configuration file (if --address is not used)")
			flags.StringP("adapter", "a", "", "Name of config adapter to apply (if --config is used)")
			flags.StringP("server", "s", oauthserver.DefaultName, "Name of the oauth_server")
			flags.Bool("json", false, "Print the answer as JSON")
			group(cmd, clientCommand(), apiTokenCommand(), consentCommand(), userCommand(), keyCommand(), revokeCommand(), tokenCommand(), inspectCommand(), traceCommand(), policyCommand(), secretPatternsCommand(), backupCommand(), restoreCommand())
			complete(cmd)
		},
	}
}

// leaf returns a command that runs f. It takes the argument that use names, if it names one. That
// is not empty: it would be a variable which a script has not set. No error shows an argument,
// which may be a secret that belongs on standard input.
func leaf(use, short string, f caddycmd.CommandFunc) *cobra.Command {
	name, argument, _ := strings.Cut(use, " ")
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case argument == "" && len(args) > 0:
				return ended(cmd, misuse("%s takes no argument, got %d", name, len(args)))
			case argument != "" && len(args) != 1:
				return ended(cmd, misuse("%s takes one argument, %s, got %d", name, argument, len(args)))
			case slices.Contains(args, ""):
				return ended(cmd, misuse("the argument %s of %s must not be empty", argument, name))
			}
			if err := checkFlags(cmd); err != nil {
				return ended(cmd, err)
			}
			return nil
		},
		RunE: caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
			status, err := f(fl)
			if _, reported := errors.AsType[reported](err); err != nil && !reported && fl.Bool("json") {
				printFailure(status, err)
			}
			return status, err
		}),
	}
}

// printFailure writes what went wrong to standard output, as JSON. People read it on standard
// error, where Caddy writes it as well.
func printFailure(status int, err error) {
	_, _ = printJSON(struct {
		Error    string `json:"error"`
		ExitCode int    `json:"exit_code"`
	}{err.Error(), status})
}

// ended returns the error of a command that was not run, for Caddy to exit with its code.
func ended(cmd *cobra.Command, err error) error {
	return caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
		status, err := failed(err)
		if json, _ := fl.GetBool("json"); json {
			printFailure(status, err)
		}
		return status, err
	})(cmd, nil)
}

// family returns a command that only has subcommands.
func family(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long}
	group(cmd, commands...)
	return cmd
}

// group gives a command its subcommands. Alone it prints its help. A word that is none of them is
// an error, also if a flag of the command that was meant follows it: cobra would print the help and
// exit with 0, and a script would believe that it has revoked something.
func group(cmd *cobra.Command, commands ...*cobra.Command) {
	cmd.AddCommand(commands...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return ended(cmd, unknownCommand(cmd, args[0]))
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if word := cmd.Flags().Arg(0); word != "" && cmd.HasSubCommands() {
			return ended(cmd, unknownCommand(cmd, word))
		}
		if strings.HasPrefix(err.Error(), "unknown shorthand flag") {
			err = fmt.Errorf("%w; an id that begins with a dash stands behind two of them: -- -id", err)
		}
		text, _, _ := strings.Cut(err.Error(), ": strconv.")
		return ended(cmd, misuse("%s", text))
	})
}

// unknownCommand names what was probably meant, or else what there is.
func unknownCommand(cmd *cobra.Command, word string) error {
	cmd.SuggestionsMinimumDistance = 2
	if meant := cmd.SuggestionsFor(word); len(meant) > 0 {
		return misuse("there is no command %q in %s; did you mean %s?", word, cmd.CommandPath(), strings.Join(meant, " or "))
	}
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	return misuse("there is no command %q in %s; expected %s", word, cmd.CommandPath(), strings.Join(names, ", "))
}

// The exit codes of a command that has failed.
const (
	exitRefused   = 1 // what was asked for is refused, or did not work
	exitUsage     = 2 // the command line makes no sense; nothing was done
	exitUnreached = 3 // no Caddy answers, or the server of the token endpoint does not
)

// failed is what a command returns that has failed.
func failed(err error) (int, error) {
	if _, ok := errors.AsType[misused](err); ok {
		return exitUsage, err
	}
	if _, ok := errors.AsType[unreached](err); ok {
		return exitUnreached, err
	}
	return exitRefused, err
}

// misused is the error of a command line that makes no sense.
type misused struct{ error }

func misuse(format string, args ...any) error { return misused{fmt.Errorf(format, args...)} }

// reported is an error of which a report has been printed that says the same.
type reported struct{ error }

// unreached is the error of a request that nobody has answered.
type unreached struct{ error }

// printJSON writes v to standard output, indented.
func printJSON(v any) (int, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return failed(err)
	}
	return printLine(string(text))
}

// printTable writes rows to standard output in aligned columns. An empty cell becomes a dash, so
// that every row has as many columns.
func printTable(rows [][]string) (int, error) {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		_, _ = fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	_ = table.Flush()
	return printOut(text.String())
}

func printLine(text string) (int, error) { return printOut(text + "\n") }

// printOut writes to standard output. A script that keeps a secret in a file has to know if that
// could not be written.
func printOut(text string) (int, error) {
	if _, err := os.Stdout.WriteString(text); err != nil {
		return failed(fmt.Errorf("what was to be shown is lost, and so is a new secret: %w", err))
	}
	return caddy.ExitCodeSuccess, nil
}

// say writes a message for people to standard error, so that standard output has only the result.
func say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// printTime formats a time by RFC 3339. The zero time is empty.
func printTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
