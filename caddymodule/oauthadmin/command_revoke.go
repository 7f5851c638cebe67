package oauthadmin

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// revokeFlags are the flags that say which tokens are revoked.
var revokeFlags = []string{"jti", "user", "client", "grant", "issuer"}

func revokeCommand() *cobra.Command {
	cmd := leaf("revoke", "Revokes access tokens", cmdRevoke)
	cmd.Long = `
Revokes access tokens before they expire (RFC 7009): one token, which is read from
standard input or asked for on the terminal, or the tokens that a flag names. They
are refused from the next request on; on other machines with the same store, within
a quarter of a second, or what revocation_interval says there.

  (no flag)  one token, and those that it was exchanged for
  --jti      the same, by the id of the token
  --user     all that were issued for a user (sub) until now
  --client   all that were issued to a client until now
  --grant    all that came of one authorization, and its refresh token; or of an API
             token, by its id, and the API token; or, until now, of a policy for tokens
             of others, by "policy:" and its name
  --issuer   all that came, until now, of tokens of another issuer, by the policies that
             the configuration has now; of a policy that it had, see --grant

A client that is unknown now may have had tokens, and is no error; the output says so.

A user or client can get new tokens. To prevent that, revoke the API token or remove
the client: see 'caddy oauth api-token revoke' and 'caddy oauth client remove'. Remove
a client of the configuration there.`
	cmd.Example = `  $ echo "$TOKEN" | caddy oauth revoke
  $ caddy oauth revoke --user ada
  $ caddy oauth revoke --client billing`
	flags := cmd.Flags()
	names := revokeFlags
	flags.String(names[0], "", "Id of the access token to revoke (jti)")
	flags.String(names[1], "", "User whose access tokens are revoked (sub)")
	flags.String(names[2], "", "Id of the client whose access tokens are revoked (client_id)")
	flags.String(names[3], "", "Authorization whose access tokens are revoked (grant_id)")
	flags.String(names[4], "", "Other issuer of whose tokens the access tokens came that are revoked (iss)")
	cmd.MarkFlagsMutuallyExclusive(names...)
	return cmd
}

func cmdRevoke(fl caddycmd.Flags) (int, error) {
	asked := revocation{JTI: fl.String("jti"), Subject: fl.String("user"), ClientID: fl.String("client"), GrantID: fl.String("grant"),
		Issuer: fl.String("issuer")}
	for _, name := range revokeFlags {
		if err := checkRevoked(fl.String(name), "without a flag, it is read from standard input"); err != nil {
			return failed(misuse("--%s: %w", name, err))
		}
	}
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
	case asked.Issuer != "":
		say("The access tokens that came of tokens of %q until now, by the policies of the configuration as it is, are revoked. More can come of them.", asked.Issuer)
	case asked.Subject != "":
		say("The access tokens of user %q that were issued until now are revoked. Its API tokens are not.", asked.Subject)
	case asked.ClientID != "":
		say("The access tokens of client %q that were issued until now are revoked. It can get new ones.", asked.ClientID)
		sayIfUnknown(fl, asked.ClientID)
	case strings.HasPrefix(asked.GrantID, tokenep.PolicyGrantPrefix):
		say("The tokens that came of %s until now are revoked. The policy gives new ones.", printText(asked.GrantID))
		sayIfNoPolicy(fl, strings.TrimPrefix(asked.GrantID, tokenep.PolicyGrantPrefix), true)
	case asked.GrantID != "":
		say("The access tokens that came of %q are revoked, and its refresh token or API token with them.", asked.GrantID)
		sayIfNoPolicy(fl, asked.GrantID, false)
	default:
		say("The access token is revoked, and so are those that it was exchanged for.")
	}
	return caddy.ExitCodeSuccess, nil
}

// sayIfNoPolicy says so if there is no such policy now; or, if a grant was given, that there is a
// policy of that name, which may have been meant.
func sayIfNoPolicy(fl caddycmd.Flags, name string, prefixed bool) {
	policies, err := fetchPolicies(fl)
	known := slices.ContainsFunc(policies, func(p policyInfo) bool { return p.Policy == name })
	switch {
	case err != nil:
	case prefixed && !known:
		say("There is no policy %q now. If you did not remove it, look for its name in 'caddy oauth policy list'.", name)
	case !prefixed && known:
		say("There is a policy of that name. To revoke what came of it, write %s%s.", tokenep.PolicyGrantPrefix, name)
	}
}

// sayIfUnknown says so if there is no such client. It may be one of an earlier configuration, whose
// tokens are revoked; or one that was mistyped.
func sayIfUnknown(fl caddycmd.Flags, client string) {
	err := callAdmin(fl, http.MethodGet, []string{"clients", client}, nil, nil, nil)
	if errors.Is(err, errNotFound) {
		say("There is no client %q now. If you did not remove it, look for its id in 'caddy oauth client list'.", client)
	}
}
