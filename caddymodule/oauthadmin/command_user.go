package oauthadmin

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

func userCommand() *cobra.Command {
	list := leaf("list", "Lists the users of whom something is kept", cmdUserList)
	list.Long = `
Lists the users of whom something is kept: who is disabled, who was revoked, and who
signed in where clients are told claims of users. Others have signed in, too.`
	show := leaf("show <sub>", "Shows what a user has", cmdUserShow)
	list.Example = `  $ caddy oauth user list`
	show.Long = `
Shows whether a user is disabled, since when all is void that was issued before, and how
many sessions, clients that were allowed something, and live API tokens the user has.`
	show.Example = `  $ caddy oauth user show ada`
	disable := leaf("disable <sub>", "Keeps a user from signing in and from getting tokens", cmdUserDisable)
	disable.Long = `
Keeps a user from signing in and from getting tokens, until 'enable'. The access tokens
and sessions that there are end, at once here, and within a second on other machines
with the same store. Refresh tokens and API tokens are refused while the user is
disabled.`
	disable.Example = `  $ caddy oauth user disable ada`
	enable := leaf("enable <sub>", "Lets a user who was disabled sign in again", cmdUserEnable)
	enable.Long = `
Lets a user who was disabled sign in and get tokens again. The user's refresh tokens and
API tokens are good again, unless they have expired; access tokens and sessions are not.`
	enable.Example = `  $ caddy oauth user enable ada`
	revoke := leaf("revoke <sub>", "Ends all that a user has", cmdUserRevoke)
	revoke.Long = `
Ends all that a user has: sessions, what clients were allowed, refresh tokens, access
tokens and API tokens. The user can sign in again; to prevent that, disable the user.
If it fails, it can be repeated.`
	revoke.Example = `  $ caddy oauth user revoke ada`
	sessions := leaf("sessions <sub>", "Lists or ends the sessions of a user", cmdUserSessions)
	sessions.Long = `
Lists the browsers in which a user has signed in, or ends a session, or all. That ends
no tokens of clients: see 'caddy oauth user revoke'.`
	sessions.Example = `  $ caddy oauth user sessions ada
  $ caddy oauth user sessions ada --end 3vQ0Xk1mPz9a
  $ caddy oauth user sessions ada --end-all`
	sessions.Flags().String("end", "", "Id of the session to end")
	sessions.Flags().Bool("end-all", false, "End all of them")
	sessions.MarkFlagsMutuallyExclusive("end", "end-all")
	return family("user", "Disables, enables and revokes users, and ends their sessions", `
Manages users, by the name that is the subject (sub) of their tokens. They are added
and removed where their passwords are: see users in the configuration.`, list, show, disable, enable, revoke, sessions)
}

func cmdUserList(fl caddycmd.Flags) (int, error) {
	users := []state.KnownUser{}
	err := listAll(func(after string) (string, error) {
		var page userPage
		err := callAdmin(fl, http.MethodGet, []string{"users"}, url.Values{"after": {after}}, nil, &page)
		users = append(users, page.Users...)
		return page.Next, err
	})
	if err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(users)
	}
	rows := [][]string{{"USER", "DISABLED", "REVOKED"}}
	for i := range users {
		u := &users[i]
		rows = append(rows, []string{printText(u.Subject), printTime(u.Disabled), printTime(u.Revoked)})
	}
	return printTable(rows)
}

func cmdUserShow(fl caddycmd.Flags) (int, error) {
	var found server.UserAccess
	if err := callUser(fl, http.MethodGet, nil, nil, &found); err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(found)
	}
	if isUnknown(fl, found) {
		say("This user has no session, consent or API token. " + compareNames)
	}
	return printTable([][]string{
		{"USER", "DISABLED", "REVOKED", "SESSIONS", "CLIENTS", "API TOKENS"},
		{
			printText(found.Subject), printTime(found.Disabled), printTime(found.Revoked),
			strconv.Itoa(found.Sessions), strconv.Itoa(found.Clients), strconv.Itoa(found.APITokens),
		},
	})
}

// callUser makes a request for a resource of the user that the argument names.
func callUser(fl caddycmd.Flags, method string, below []string, body, answer any) error {
	if err := checkRevoked(fl.Arg(0), "give the name of its user"); err != nil {
		return fmt.Errorf("<sub>: %w", err)
	}
	return callAdmin(fl, method, append([]string{"users", fl.Arg(0)}, below...), nil, body, answer)
}

func cmdUserDisable(fl caddycmd.Flags) (int, error) {
	unknown := unknownUser(fl)
	if err := callUser(fl, http.MethodPost, []string{"disable"}, nil, nil); err != nil {
		return failed(err)
	}
	say("User %q is disabled: no sign-in and no tokens. Access tokens and sessions have ended.", fl.Arg(0))
	unknown()
	return caddy.ExitCodeSuccess, nil
}

func cmdUserEnable(fl caddycmd.Flags) (int, error) {
	if err := callUser(fl, http.MethodPost, []string{"enable"}, nil, nil); err != nil {
		return failed(err)
	}
	say("User %q may sign in and get tokens.", fl.Arg(0))
	return caddy.ExitCodeSuccess, nil
}

func cmdUserRevoke(fl caddycmd.Flags) (int, error) {
	unknown := unknownUser(fl)
	if err := callUser(fl, http.MethodPost, []string{"revoke"}, nil, nil); err != nil {
		return failed(err)
	}
	say("All that user %q had has ended: sessions, consents, refresh tokens, access tokens and API tokens.", fl.Arg(0))
	unknown()
	return caddy.ExitCodeSuccess, nil
}

// compareNames is said of a user who may be mistyped.
const compareNames = "If that is unexpected, compare the name with the sub of a token."

// isUnknown reports whether nothing is kept of a user.
func isUnknown(fl caddycmd.Flags, found server.UserAccess) bool {
	return found == server.UserAccess{KnownUser: state.KnownUser{Subject: fl.Arg(0)}}
}

// unknownUser returns what says that nothing was kept of a user until now.
func unknownUser(fl caddycmd.Flags) (tell func()) {
	var found server.UserAccess
	err := callUser(fl, http.MethodGet, nil, nil, &found)
	if err != nil || !isUnknown(fl, found) {
		return func() {}
	}
	return func() {
		say("This user had no session, consent or API token. " + compareNames)
	}
}

func cmdUserSessions(fl caddycmd.Flags) (int, error) {
	if id := fl.String("end"); id != "" || fl.Bool("end-all") {
		if err := callUser(fl, http.MethodPost, []string{"sessions", "end"}, endedSessions{id, id == ""}, nil); err != nil {
			return failed(err)
		}
		if id == "" {
			say("All sessions of user %q have ended.", fl.Arg(0))
		} else {
			say("The session of user %q has ended.", fl.Arg(0))
		}
		return caddy.ExitCodeSuccess, nil
	}
	var all userSessions
	if err := callUser(fl, http.MethodGet, []string{"sessions"}, nil, &all); err != nil {
		return failed(err)
	}
	if fl.Bool("json") {
		return printJSON(all.Sessions)
	}
	rows := [][]string{{"ID", "BROWSER", "ADDRESS", "SIGNED IN", "LAST USED", "ENDS"}}
	for i := range all.Sessions {
		x := &all.Sessions[i]
		rows = append(rows, []string{
			x.ID, printText(x.Agent), printText(x.Address), printTime(x.Created), printTime(x.Used), printTime(x.Expires),
		})
	}
	return printTable(rows)
}
