package oauthadmin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

func tokenCommand() *cobra.Command {
	cmd := leaf("token", "Gets an access token and prints it", cmdToken)
	cmd.Long = `
Gets an access token from the token endpoint, as a program would: for a client by
client credentials (RFC 6749 section 4.4), or for an API token by token exchange
(RFC 8693).

The client's secret or the API token is read from standard input, or asked for
on the terminal. The access token is written to standard output.

The token endpoint is found by the metadata of the issuer (RFC 8414). With --url
neither the metadata nor the admin API is needed.`
	cmd.Example = `  $ caddy oauth token --client billing --scope orders:read < secret.txt
  $ token=$(echo "$API_TOKEN" | caddy oauth token --api-token)
  $ echo "$SECRET" | caddy oauth token --client billing --url https://id.example.com/oauth/token --json`
	flags := cmd.Flags()
	flags.String("client", "", "Id of a client, whose secret is read from standard input")
	flags.Bool("api-token", false, "Exchange an API token, which is read from standard input")
	flags.String("scope", "", "Scope to ask for: scope tokens separated by spaces (default: all that is allowed)")
	flags.StringArray("audience", nil, "Target to ask for (repeatable; default: what is configured)")
	flags.String("url", "", "URL of the token endpoint")
	flags.String("ca", "", "File with certificates of authorities that are trusted beside those of the system (PEM)")
	flags.String("subject-token-type", "", "Token type identifier of API tokens (default: the server's)")
	cmd.MarkFlagsMutuallyExclusive("client", "api-token")
	cmd.MarkFlagsOneRequired("client", "api-token")
	return cmd
}

func cmdToken(fl caddycmd.Flags) (int, error) {
	ctx := context.Background() // of the process: a command has none, and ends with it
	form, err := askedOf(fl)
	if err == nil {
		err = trustAuthorities(fl.String("ca"))
	}
	if err != nil {
		return failed(err)
	}
	endpoint, tokenType, err := findTokenEndpoint(ctx, fl)
	if err != nil {
		return failed(err)
	}
	request := tokenRequest{endpoint: endpoint, form: form}
	if fl.Bool("api-token") {
		token, err := readSecret("the API token")
		if err != nil {
			return failed(err)
		}
		request.form.Set("grant_type", grant.TokenExchangeType)
		request.form.Set("subject_token_type", tokenType)
		request.form.Set("subject_token", token)
	} else {
		secret, err := readSecret("the secret of client " + fl.String("client"))
		if err != nil {
			return failed(err)
		}
		request.form.Set("grant_type", grant.ClientCredentialsType)
		request.client, request.secret = fl.String("client"), secret
	}
	answer, err := request.send(ctx)
	if err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(answer)
	}
	token, ok := answer["access_token"].(string)
	if !ok {
		return failed(errors.New("access_token is missing in the answer of the token endpoint"))
	}
	return printLine(token)
}

// askedOf returns the parameters that say what the token is to be for.
func askedOf(fl caddycmd.Flags) (url.Values, error) {
	form := url.Values{}
	scope, err := scopeFlag(fl, "scope")
	if err != nil {
		return nil, err
	}
	if len(scope) > 0 {
		form.Set("scope", scope.String())
	}
	audience, err := audienceFlag(fl, "audience")
	if len(audience) > 0 {
		form["audience"] = audience
	}
	return form, err
}

// findTokenEndpoint returns the URL of the token endpoint, and the token type identifier of API
// tokens.
func findTokenEndpoint(ctx context.Context, fl caddycmd.Flags) (endpoint, tokenType string, err error) {
	tokenType = fl.String("subject-token-type")
	if endpoint = fl.String("url"); endpoint != "" {
		if err := checkCredentialsURL(endpoint); err != nil {
			return "", "", misuse("--url: %w", err)
		}
		if tokenType == "" {
			tokenType = server.APITokenType
		}
		return endpoint, tokenType, nil
	}
	var described serverInfo
	if err := callAdmin(fl, http.MethodGet, nil, nil, nil, &described); err != nil {
		return "", "", err
	}
	if tokenType == "" {
		tokenType = strings.Join(described.APITokenTypes[:min(1, len(described.APITokenTypes))], "")
	}
	if fl.Bool("api-token") && tokenType == "" {
		return "", "", errors.New("the server accepts no API tokens")
	}
	endpoint, err = discover(ctx, described.Issuer)
	return endpoint, tokenType, err
}
