package oauthadmin

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

func consentCommand() *cobra.Command {
	list := leaf("list", "Lists what users have allowed clients", cmdConsentList)
	list.Long = `
Lists what users have allowed clients, or one user. They are not asked for it again.`
	list.Example = `  $ caddy oauth consent list --user ada`
	list.Flags().String("user", "", "Only what this user has allowed")

	revoke := leaf("revoke", "Revokes what a user has allowed", cmdConsentRevoke)
	revoke.Long = `
Revokes what --user has allowed --client, or all clients. The user is asked again,
and all that came of it ends: codes, refresh tokens and access tokens.`
	revoke.Example = `  $ caddy oauth consent revoke --user ada --client notes
  $ caddy oauth consent revoke --user ada`
	revoke.Flags().String("user", "", "The user who has allowed it (required)")
	revoke.Flags().String("client", "", "The client that was allowed it (default: all)")
	require(revoke, "user")
	return family("consent", "Lists and revokes what users have allowed clients", `
Manages consents: what users have allowed clients at the authorization endpoint.`, list, revoke)
}

func cmdConsentList(fl caddycmd.Flags) (int, error) {
	consents := []state.Consent{}
	err := listAll(func(after string) (string, error) {
		var page consentPage
		query := url.Values{"after": {after}, "sub": {fl.String("user")}}
		err := callAdmin(fl, http.MethodGet, []string{"consents"}, query, nil, &page)
		consents = append(consents, page.Consents...)
		return page.Next, err
	})
	if err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(consents)
	}
	rows := [][]string{{"USER", "CLIENT", "SCOPE", "AT", "ALLOWED", "LAST USED"}}
	for i := range consents {
		c := &consents[i]
		for _, a := range c.Allowed {
			rows = append(rows, []string{
				printText(c.Subject), printText(c.ClientID), printText(a.Scope.String()), printText(strings.Join(a.Audience, " ")),
				printTime(c.Created), printTime(c.Used),
			})
		}
	}
	return printTable(rows)
}

func cmdConsentRevoke(fl caddycmd.Flags) (int, error) {
	asked := revokedConsent{Subject: fl.String("user"), ClientID: fl.String("client")}
	if err := callAdmin(fl, http.MethodPost, []string{"consents", "revoke"}, nil, asked, nil); err != nil {
		return failed(err)
	}
	if asked.ClientID == "" {
		say("What user %q has allowed is revoked, and all that came of it.", asked.Subject)
	} else {
		say("What user %q has allowed client %q is revoked, and all that came of it.", asked.Subject, asked.ClientID)
	}
	return caddy.ExitCodeSuccess, nil
}
