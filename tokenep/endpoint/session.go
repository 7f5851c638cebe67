package endpoint

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// Sessions says who sits in front of a browser that has signed in (RFC 6749 §3.1), by a sealed
// cookie and by the record of the session, so that a session that ends does so on every node.
type Sessions struct {
	Browser
	Sessions state.Sessions
	Active   tokenep.Active
}

const sessionCookie = "oauth_session"

// sessionTicket is what is sealed into the cookie.
type sessionTicket struct {
	Subject string `json:"sub"`
	ID      string `json:"id"`
	Secret  string `json:"secret"`
}

var errNoSession = fmt.Errorf("%w: no session", state.ErrRefused)

// Current returns the session of a browser, and whose it is. The error Is state.ErrRefused if there
// is none.
func (s Sessions) Current(r *http.Request) (subject string, session state.Session, err error) {
	ticket, err := s.ticket(r)
	if err != nil {
		return "", session, err
	}
	session, err = s.Sessions.Check(r.Context(), ticket.Subject, ticket.ID, ticket.Secret)
	if err != nil {
		return "", session, err
	}
	err = s.Active(r.Context(), ticket.Subject, session.Created)
	if errors.Is(err, tokenep.ErrNoUser) {
		err = fmt.Errorf("%w: %w", state.ErrRevoked, err)
	}
	return ticket.Subject, session, err
}

// ticket reads the cookie.
func (s Sessions) ticket(r *http.Request) (ticket sessionTicket, err error) {
	value, ok := s.cookie(r, sessionCookie)
	if !ok {
		return ticket, errNoSession
	}
	if err := s.Seals.open(forSessions, value, &ticket); err != nil {
		return ticket, errNoSession
	}
	return ticket, nil
}

// User returns who has signed in; nobody, with an error that Is state.ErrRefused.
func (s Sessions) User(r *http.Request) (tokenep.User, error) {
	subject, session, err := s.Current(r)
	if err != nil {
		return tokenep.User{}, err
	}
	return tokenep.User{Subject: subject, SignIn: session.SignIn}, nil
}

// start begins a session, in the place of that which the browser had.
func (s Sessions) start(w http.ResponseWriter, r *http.Request, subject string, x state.Session) error {
	old, err := s.ticket(r)
	replaces := ""
	switch {
	case err != nil: // there is none
	case old.Subject == subject:
		replaces = old.ID
	default:
		if err := s.Sessions.End(r.Context(), old.Subject, old.ID); err != nil {
			return err
		}
	}
	secret, made, err := s.Sessions.Start(r.Context(), subject, x, replaces)
	if err != nil {
		return err
	}
	sealed, err := s.Seals.seal(forSessions, sessionTicket{subject, made.ID, secret})
	if err == nil {
		s.setCookie(w, sessionCookie, sealed)
	}
	return err
}

// end ends the session of a browser; none is no error.
func (s Sessions) end(w http.ResponseWriter, r *http.Request) error {
	if ticket, err := s.ticket(r); err == nil {
		if err := s.Sessions.End(r.Context(), ticket.Subject, ticket.ID); err != nil {
			return err
		}
	}
	if len(r.CookiesNamed(s.cookieName(sessionCookie))) > 0 {
		s.setCookie(w, sessionCookie, "")
	}
	return nil
}

// What is told of a browser, for people, by what its User-Agent has in it: the first that fits.
var (
	browsers = [][2]string{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"Chrome/", "Chrome"}, {"CriOS/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}}
	systems = [][2]string{{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"},
		{"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}}
)

// agent returns a name of a browser: nothing of what was sent is kept or shown.
func agent(userAgent string) string {
	var parts []string
	for _, table := range [][][2]string{browsers, systems} {
		for _, row := range table {
			if strings.Contains(userAgent, row[0]) {
				parts = append(parts, row[1])
				break
			}
		}
	}
	return strings.Join(parts, ", ")
}
