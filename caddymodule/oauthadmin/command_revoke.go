package oauthadmin

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func revokeCommand() *cobra.Command {
	cmd := leaf("revoke", "Revokes access tokens", cmdRevoke)
	cmd.Long = `
Revokes access tokens before they expire (RFC 7009): one, which is read from
standard input or asked for on the terminal, or those that a flag names. The
very next request with one is refused; on other machines with the same store,
within a quarter of a second.

  (no flag)  one token, and what it was exchanged for
  --jti      the same, by the id of the token
  --user     what has been issued until now for a user (sub)
  --client   what has been issued until now to a client
  --grant    what came of one authorization, and what will: of an API token, by
             its id

A user or client can get new tokens: whoever is not to, must lose what they are
had with. See 'caddy oauth api-token revoke' and 'caddy oauth client remove'; a
client of the configuration is removed there.`
	cmd.Example = `  $ echo "$TOKEN" | caddy oauth revoke
  $ caddy oauth revoke --user ada
  $ caddy oauth revoke --client billing`
	flags := cmd.Flags()
	names := []string{"jti", "user", "client", "grant"}
	flags.String(names[0], "", "Id of the access token to revoke (jti)")
	flags.String(names[1], "", "User whose access tokens are revoked (sub)")
	flags.String(names[2], "", "Id of the client whose access tokens are revoked (client_id)")
	flags.String(names[3], "", "Authorization whose access tokens are revoked (grant_id)")
	cmd.MarkFlagsMutuallyExclusive(names...)
	return cmd
}

func cmdRevoke(fl caddycmd.Flags) (int, error) {
	asked := revocation{JTI: fl.String("jti"), Subject: fl.String("user"), ClientID: fl.String("client"), GrantID: fl.String("grant")}
	if asked == (revocation{}) {
		token, err := readSecret("the access token")
		if err != nil {
			return failed(err)
		}
		asked.Token = strings.TrimSpace(token)
	}
	if err := callAdmin(fl, http.MethodPost, []string{"revocations"}, nil, asked, nil); err != nil {
		return failed(err)
	}
	switch {
	case asked.Subject != "":
		say("The access tokens of user %q that were issued until now are revoked. Its API tokens are not.", asked.Subject)
	case asked.ClientID != "":
		say("The access tokens of client %q that were issued until now are revoked. It can get new ones.", asked.ClientID)
	case asked.GrantID != "":
		say("The access tokens that come of %q are revoked.", asked.GrantID)
	default:
		say("The access token is revoked, and what it was exchanged for.")
	}
	return caddy.ExitCodeSuccess, nil
}
