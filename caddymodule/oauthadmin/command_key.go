package oauthadmin

import (
	"net/http"
	"net/url"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func keyCommand() *cobra.Command {
	list := leaf("list", "Lists the signing keys", cmdKeyList)
	list.Long = `
Lists the signing keys: the active one, the next one, and the retired ones, which
stay published until the last token that they signed has expired.`
	list.Example = `  $ caddy oauth key list`
	rotate := leaf("rotate", "Signs with the next key from now on", cmdKeyRotate)
	rotate.Long = `
Makes the next key the active one, and publishes a new next key. Keys also rotate
on their own. If somebody else may have a key, use 'withdraw' instead.

It fails while the next key has not been published long enough for every verifier
to know it. With --force it is done anyway: verifiers with an older key set refuse
new tokens until they fetch it again.

The old key stays published, since its tokens are still valid: see withdraw.`
	rotate.Example = `  $ caddy oauth key rotate
  $ caddy oauth key rotate --force`
	rotate.Flags().Bool("force", false, "Rotate even if verifiers may not know the next key yet")
	withdraw := leaf("withdraw <kid>", "Refuses everything that a key has signed", cmdKeyWithdraw)
	withdraw.Long = `
Withdraws a signing key that somebody else may have. The tokens that it has signed
are refused from the next request on, genuine and forged ones alike, and so are
those that they were exchanged for; clients must get new ones. If it was the active
key, the next one takes its place at once.

Other machines with the same store follow within a minute. Until then they accept
its tokens, and sign with it if it was active. Verifiers elsewhere accept it while
they cache the key set: five minutes, if they follow its Cache-Control.

Whoever has read a store in clear has all keys that were in it: withdraw each of
them, the active one last. Write two dashes before an id that begins with a dash:
withdraw -- -Yyr.`
	withdraw.Example = `  $ caddy oauth key withdraw 3Yyr3vNBaXk5b9oLgQ3mJ2iPjvVdzVJQmRaxR1C8hJM`
	return family("key", "Lists, rotates and withdraws signing keys", `
Shows, rotates and withdraws the keys that sign access tokens.`, list, rotate, withdraw)
}

func cmdKeyList(fl caddycmd.Flags) (int, error) {
	return printKeys(fl, http.MethodGet, []string{"keys"}, nil)
}

func cmdKeyRotate(fl caddycmd.Flags) (int, error) {
	query := url.Values{}
	if fl.Bool("force") {
		query.Set("force", "true")
	}
	return printKeys(fl, http.MethodPost, []string{"keys", "rotate"}, query)
}

func cmdKeyWithdraw(fl caddycmd.Flags) (int, error) {
	return printKeys(fl, http.MethodPost, []string{"keys", fl.Arg(0), "withdraw"}, nil)
}

func printKeys(fl caddycmd.Flags, method string, path []string, query url.Values) (int, error) {
	var list keyList
	if err := callAdmin(fl, method, path, query, nil, &list); err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(list.Keys)
	}
	rows := [][]string{{"KID", "ALG", "STATE", "CREATED", "ACTIVATED", "RETIRED", "EXPIRES"}}
	for _, k := range list.Keys {
		rows = append(rows, []string{
			k.ID, k.Algorithm, string(k.State), printTime(k.Created), printTime(k.Activated), printTime(k.Retired), printTime(k.Expires),
		})
	}
	return printTable(rows)
}
