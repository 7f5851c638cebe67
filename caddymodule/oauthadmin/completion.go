package oauthadmin

import (
	"net/http"
	"net/url"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
)

// completeFrom has shells offer the ids of a list of the admin API for the argument of commands:
// the member of its elements that is the id. Where no Caddy answers they offer nothing.
func completeFrom(list, member string, commands ...*cobra.Command) {
	ids := func(cmd *cobra.Command, args []string, _ string) (found []cobra.Completion, _ cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
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
		return found, cobra.ShellCompDirectiveNoFileComp
	}
	for _, cmd := range commands {
		cmd.ValidArgsFunction = ids
	}
}

// completeGrants has shells offer the grants for a flag.
func completeGrants(flag string, commands ...*cobra.Command) {
	var names []cobra.Completion
	for _, grantType := range grant.Types() {
		names = append(names, tokenep.GrantName(grantType))
	}
	for _, cmd := range commands {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	}
}
