package endpoint

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

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

// make makes a token, and shows it.
func (e Account) make(r *http.Request, v *visit) error {
	if !fresh(v.user.SignIn.Time, e.Now()) || !e.mayMake(v.user) {
		return e.signInFirst(r, v, "view=new")
	}
	want, wrong := e.Tokens.read(v.form, e.Now())
	want.Owner = v.user.Subject
	failed := "new.bad"
	if len(wrong) == 0 {
		if err := e.once(r, v); err != nil {
			return err
		}
		text, made, err := e.Tokens.Tokens.Create(r.Context(), want)
		switch {
		case err == nil:
			return e.showSecret(r, v, text, made, "API token created")
		case errors.Is(err, state.ErrTooMany):
			failed = "new.many"
		case errors.Is(err, state.ErrNotAllowed):
			wrong["service"] = "wrong.not_allowed"
		case !errors.Is(err, state.ErrInvalid):
			return err
		}
	}
	return e.showNew(r, v, page.NewToken{
		Failed: failed, Wrong: wrong, Name: want.Name, Note: want.Note,
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

// read reads the form for a new token. For each field that is not filled in as it must be, wrong
// has the key of a text that says so.
func (a AccountTokens) read(form *tokenep.Form, now time.Time) (t state.APIToken, wrong map[string]string) {
	wrong = make(map[string]string)
	t = state.APIToken{Name: strings.TrimSpace(form.Get("name")), Note: strings.TrimSpace(form.Get("note"))}
	if t.Name == "" {
		wrong["name"] = "wrong.name"
	}
	if i, err := strconv.Atoi(form.Get("service")); err != nil || i < 0 || i >= len(a.Services) {
		wrong["service"], t.Service = outside["service"], a.Services[0].Audience
	} else {
		t.Service = a.Services[i].Audience
		for j, token := range a.Services[i].Scope {
			if form.Has(scopeParameter(i, j)) {
				t.Scope = append(t.Scope, token)
			}
		}
	}
	days := form.Get("days")
	if days == "custom" {
		days = form.Get("custom")
	}
	if t.NoExpiry = days == "never"; !t.NoExpiry {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > int(a.MaxAge/day) {
			wrong["days"] = outside["days"]
		} else {
			t.Expires = now.Add(time.Duration(n) * day)
		}
	}
	readLimits(form, &t, wrong)
	a.check(t, wrong)
	return t, wrong
}

// outside are the texts for fields that are outside their limits.
var outside = map[string]string{
	"name": "wrong.name_long", "note": "wrong.note_long", "service": "wrong.service", "days": "wrong.days",
	"allow_from": "wrong.addresses", "deny_from": "wrong.addresses", "rate": "wrong.rate", "quota": "wrong.quota",
	"not_before": "wrong.not_before",
}

// check adds what is outside the limits of a token.
func (a AccountTokens) check(t state.APIToken, wrong map[string]string) {
	t.Owner = "somebody" // the owner is no field
	var refused *state.FieldError
	if !errors.As(a.Tokens.Validate(t), &refused) {
		return
	}
	field := refused.Field
	if field == "expires" {
		field = "days"
	}
	text := outside[field]
	if field == "name" && unreadable(t.Name) || field == "note" && unreadable(t.Note) {
		text = "wrong.character"
	}
	if text != "" && wrong[field] == "" {
		wrong[field] = text
	}
}

// unreadable reports whether a text has a character that cannot be shown.
func unreadable(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) })
}

// readLimits reads from where, how often and from when on the token may be used.
func readLimits(form *tokenep.Form, t *state.APIToken, wrong map[string]string) {
	var err error
	for name, into := range map[string]*[]netip.Prefix{"allow_from": &t.AllowFrom, "deny_from": &t.DenyFrom} {
		if *into, err = verify.ParseAddresses(strings.Fields(form.Get(name))); err != nil {
			wrong[name] = outside[name]
		}
	}
	for name, into := range map[string]*verify.Rate{"rate": &t.Rate, "quota": &t.Quota} {
		if text := strings.TrimSpace(form.Get(name)); text != "" {
			if *into, err = verify.ParseRate(text); err != nil {
				wrong[name] = outside[name]
			}
		}
	}
	if text := form.Get("not_before"); text != "" {
		if t.NotBefore, err = time.Parse(time.DateOnly, text); err != nil {
			wrong["not_before"] = outside["not_before"]
		}
	}
}
