package endpoint

import (
	"net/http"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// notice says on the page of a person's access what that person has just done there, or that it
// could not be done. It is sealed (RFC 6749 §10.12), for one person in one browser and not for
// long: else anybody could send a link on which this server says what never happened.
type notice struct {
	Text    string `json:"text"` // its key
	Subject string `json:"sub"`
	shown
}

// noticeLife is how long a notice of something that was done is shown: loading the page again shows
// it again, and what a history has kept does not.
const noticeLife = time.Minute

// notice returns the parameter by which the page says it, for so long.
func (e Account) notice(v *visit, r *http.Request, text string, life time.Duration) (parameter, error) {
	s := shown{e.browser(v.w, r), e.Now().Add(life)}
	sealed, err := e.Seals.seal(forNotices, notice{text, v.user.Subject, s})
	return parameter{"notice", sealed}, err
}

// noticed returns what the page is to say: the key of a text, or nothing.
func (e Account) noticed(r *http.Request, v *visit) string {
	var n notice
	sealed := v.form.Get("notice")
	if sealed == "" || e.open(r, forNotices, sealed, &n, &n.shown) != nil || n.Subject != v.user.Subject {
		return ""
	}
	return n.Text
}

// endSession ends a session of the person, unless it is gone.
func (e Account) endSession(r *http.Request, v *visit, id string) error {
	sessions, err := e.Sessions.Sessions.List(r.Context(), v.user.Subject)
	if err != nil {
		return err
	}
	for _, x := range sessions {
		if x.ID == id {
			return e.Sessions.Sessions.End(r.Context(), v.user.Subject, id)
		}
	}
	return state.ErrUnknown
}
