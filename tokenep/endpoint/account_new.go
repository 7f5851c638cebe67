package endpoint

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/page"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// What is here is the form for a new API token, which is exchanged for access tokens (RFC 8693).

// usualDays are the lives from which to choose.
var usualDays = []int{90, 60, 30, 7}

// showNew shows the form for a new token, to somebody who has just signed in.
func (e Account) showNew(r *http.Request, v *visit, p page.NewToken) (err error) {
	switch {
	case !e.mayMake(v.user):
		return tokenep.InvalidRequest.Describe("no API token can be made here")
	case !fresh(v.user.SignIn.Time, e.Now()):
		return e.signInFirst(r, v, "view=new")
	}
	if p.Page, err = e.seal(r, v); err != nil {
		return err
	}
	p.User, p.Action, p.Back = v.user.Subject, e.to(r, accountName), e.to(r, accountName)
	p.Services, p.Forever, p.Most = e.Tokens.Services, e.Tokens.Never, int(e.Tokens.MaxAge/day)
	for _, days := range usualDays {
		if days <= p.Most {
			p.Days = append(p.Days, days)
		}
	}
	e.Tokens.begin(v.form, &p)
	status := http.StatusOK
	if p.Failed != "" {
		status = http.StatusBadRequest
	}
	e.Pages.Show(v.w, r, status, p)
	return nil
}

// begin fills in what was chosen before, or else what is usual.
func (a AccountTokens) begin(form *tokenep.Form, p *page.NewToken) {
	chosen, err := strconv.Atoi(form.Get("service"))
	if err != nil || chosen < 0 || chosen >= len(a.Services) {
		chosen = 0
	}
	p.Services = slices.Clone(a.Services)
	p.Services[chosen].Chosen = true
	for i := range p.Services {
		for j, token := range p.Services[i].Scope {
			if form.Has(scopeParameter(i, j)) {
				p.Services[i].Granted = append(p.Services[i].Granted, token)
			}
		}
	}
	p.Life, p.Custom = form.Get("days"), form.Get("custom")
	if p.Life == "" && len(p.Days) > 0 {
		p.Life = strconv.Itoa(p.Days[0])
	} else if p.Life == "" {
		p.Life = "custom"
	}
}

// errForm says that the form for a new token is not filled in as it must be.
var errForm = errors.New("the form is not filled in")

// make makes a token, and shows it.
func (e Account) make(r *http.Request, v *visit) error {
	if !fresh(v.user.SignIn.Time, e.Now()) || !e.mayMake(v.user) {
		return e.signInFirst(r, v, "view=new")
	}
	want, err := e.Tokens.read(v.form, e.Now())
	want.Owner = v.user.Subject
	var text string
	var made state.APIToken
	if err == nil {
		err = e.once(r, v)
	}
	if err == nil {
		text, made, err = e.Tokens.Tokens.Create(r.Context(), want)
	}
	var failed string
	switch {
	case errors.Is(err, state.ErrTooMany):
		failed = "new.many"
	case errors.Is(err, errForm), errors.Is(err, state.ErrInvalid), errors.Is(err, state.ErrNotAllowed):
		failed = "new.bad"
	case err != nil:
		return err
	default:
		return e.showSecret(r, v, text, made, "API token created")
	}
	return e.showNew(r, v, page.NewToken{
		Failed: failed, Name: want.Name, Note: want.Note,
		AllowFrom: v.form.Get("allow_from"), DenyFrom: v.form.Get("deny_from"), Rate: v.form.Get("rate"),
		Quota: v.form.Get("quota"), NotBefore: v.form.Get("not_before"),
	})
}

// once refuses a form that has made a secret already.
func (e Account) once(r *http.Request, v *visit) error {
	err := e.Seen.Add(r.Context(), "account page", v.page.ID, v.page.Expires)
	if errors.Is(err, state.ErrRefused) {
		return tokenep.InvalidRequest.Describe("this page was answered before").Because(err)
	}
	return err
}

// parameters returns the names of the boxes of that form, one for each scope-token of each service.
func (a AccountTokens) parameters() (names []string) {
	for i, s := range a.Services {
		for j := range s.Scope {
			names = append(names, scopeParameter(i, j))
		}
	}
	return names
}

func scopeParameter(service, token int) string { return fmt.Sprintf("scope.%d.%d", service, token) }

// read reads the form for a new token.
func (a AccountTokens) read(form *tokenep.Form, now time.Time) (t state.APIToken, err error) {
	t = state.APIToken{Name: strings.TrimSpace(form.Get("name")), Note: strings.TrimSpace(form.Get("note"))}
	i, err := strconv.Atoi(form.Get("service"))
	if t.Name == "" || err != nil || i < 0 || i >= len(a.Services) {
		return t, errForm
	}
	t.Service = a.Services[i].Audience
	for j, token := range a.Services[i].Scope {
		if form.Has(scopeParameter(i, j)) {
			t.Scope = append(t.Scope, token)
		}
	}
	days := form.Get("days")
	if days == "custom" {
		days = form.Get("custom")
	}
	if t.NoExpiry = days == "never"; !t.NoExpiry {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > int(a.MaxAge/day) {
			return t, errForm
		}
		t.Expires = now.Add(time.Duration(n) * day)
	}
	if err := readLimits(form, &t); err != nil {
		return t, errors.Join(errForm, err)
	}
	return t, nil
}

// readLimits reads from where, how often and from when on the token may be used.
func readLimits(form *tokenep.Form, t *state.APIToken) (err error) {
	if t.AllowFrom, err = verify.ParseAddresses(strings.Fields(form.Get("allow_from"))); err != nil {
		return err
	}
	if t.DenyFrom, err = verify.ParseAddresses(strings.Fields(form.Get("deny_from"))); err != nil {
		return err
	}
	for name, into := range map[string]*verify.Rate{"rate": &t.Rate, "quota": &t.Quota} {
		if text := strings.TrimSpace(form.Get(name)); text != "" {
			if *into, err = verify.ParseRate(text); err != nil {
				return err
			}
		}
	}
	if text := form.Get("not_before"); text != "" {
		t.NotBefore, err = time.Parse(time.DateOnly, text)
	}
	return err
}
