package oauthadmin

import (
	"maps"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// showSecretPatterns returns the regular expressions of what the server generates, by its kinds.
func showSecretPatterns(r *request) (any, error) { return r.server.Server().SecretPatterns(), nil }

func secretPatternsCommand() *cobra.Command {
	cmd := leaf("secret-patterns", "Prints regular expressions for secret scanners", cmdSecretPatterns)
	cmd.Long = `
Prints, for secret scanners, regular expressions of the credentials that the
server generates. Each of these credentials ends with a checksum. Whoever finds
one, for instance in a public repository, reports it at <issuer>/oauth/token/leaked
with {"credentials":["…"]}, and it is revoked if it is live.`
	cmd.Example = `  $ caddy oauth secret-patterns`
	return cmd
}

func cmdSecretPatterns(fl caddycmd.Flags) (int, error) {
	var patterns map[string]string
	if err := callAdmin(fl, http.MethodGet, []string{"secret_patterns"}, nil, nil, &patterns); err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(patterns)
	}
	for _, kind := range slices.Sorted(maps.Keys(patterns)) {
		say("%s:", kind)
		if code, err := printLine(patterns[kind]); err != nil {
			return code, err
		}
	}
	return caddy.ExitCodeSuccess, nil
}
