package oauthadmin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
)

// words are what a shell may offer at a place of a command line.
type words func(*cobra.Command) []string

// files are the flags and arguments that are names of files, which shells offer by themselves.
var files = []string{"config", "ca", "file", "jwks-file", "log", "path", "<file>", "<backup>"}

var (
	clientIDs = listed("clients", "client_id")
	tokenIDs  = listed("api_tokens", "id")
	keyIDs    = listed("keys", "kid")
	subjects  = listed("users", "sub")
	owners    = listed("api_tokens", "owner")
)

// offers has what shells offer for flags and arguments; for those of one command alone, its name is
// in front. For all others they offer nothing.
var offers = map[string][]words{
	"client <id>":    {clientIDs},
	"api-token <id>": {tokenIDs},
	"key <kid>":      {keyIDs},
	"<sub>":          {subjects, owners},
	"<owner>":        {owners},

	"server":             {serverNames},
	"client":             {clientIDs},
	"exchange-from":      {clientIDs},
	"user":               {subjects, owners},
	"owner":              {subjects, owners},
	"grant":              {grantNames},
	"revoke grant":       nil, // the id of an authorization
	"test grant":         {fixed("token_exchange", "jwt_bearer")},
	"auth-method":        {fixed(clientauth.Methods()...)},
	"auth-methods":       {fixed(clientauth.Methods()...)},
	"assertion-audience": {fixed("strict", "lax")},
	"id-token-alg":       {fixed(tokenep.IDTokenAlgs...)},
	"unset":              {clientFlags},
}

// complete has shells offer what the flags and arguments of a command and those below it may be.
func complete(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		complete(sub)
	}
	for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(files, f.Name) {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, offer(cmd.Name(), f.Name))
			}
		})
	}
	_, argument, _ := strings.Cut(cmd.Use, " ")
	if cmd.HasSubCommands() || slices.Contains(files, argument) {
		return
	}
	ids := offer(cmd.Parent().Name(), argument)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return ids(cmd, args, begun)
	}
}

// offer returns what offers has for a name, within a command.
func offer(command, name string) cobra.CompletionFunc {
	all, own := offers[command+" "+name]
	if !own {
		all = offers[name]
	}
	return func(cmd *cobra.Command, _ []string, _ string) (found []cobra.Completion, _ cobra.ShellCompDirective) {
		for _, some := range all {
			found = append(found, some(cmd)...)
		}
		slices.Sort(found)
		return slices.Compact(found), cobra.ShellCompDirectiveNoFileComp
	}
}

// listed returns a member of all elements of a list of the admin API; none where no Caddy answers.
func listed(list, member string) words {
	return func(cmd *cobra.Command) (found []string) {
		_ = listAll(func(after string) (string, error) {
			var page map[string]any
			err := callAdmin(caddycmd.Flags{FlagSet: cmd.Flags()}, http.MethodGet, []string{list}, url.Values{"after": {after}}, nil, &page)
			elements, _ := page[list].([]any)
			for _, element := range elements {
				members, _ := element.(map[string]any)
				if id, ok := members[member].(string); ok {
					found = append(found, id)
				}
			}
			next, _ := page["next"].(string)
			return next, err
		})
		return found
	}
}

func serverNames(cmd *cobra.Command) (names []string) {
	var answer struct {
		Servers []serverInfo `json:"servers"`
	}
	response, err := requestURI(caddycmd.Flags{FlagSet: cmd.Flags()}, http.MethodGet, basePath, nil)
	if err != nil {
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	_ = decodeAnswer(response, &answer)
	for _, s := range answer.Servers {
		names = append(names, s.Name)
	}
	return names
}

func grantNames(*cobra.Command) (names []string) {
	for _, grantType := range grant.Types() {
		names = append(names, tokenep.GrantName(grantType))
	}
	return names
}

func clientFlags(*cobra.Command) (names []string) {
	for _, o := range adapt.Options(new(tokenep.Client)) {
		names = append(names, o.Flag)
	}
	return names
}

func fixed(all ...string) words { return func(*cobra.Command) []string { return all } }
