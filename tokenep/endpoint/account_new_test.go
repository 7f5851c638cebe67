package endpoint_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// What is not within the limits makes nothing, and the form is there again: each field that is
// wrong says why, also to who cannot see it, and the first of them has the focus.
func TestAccountNewAPITokenRefused(t *testing.T) {
	s, b := account(t)
	const addresses, limits = "Please write addresses as in the example", "Please choose a number of days within the limits: 1–730."
	for name, c := range map[string]struct {
		field, want string
		pairs       []string
	}{
		"no name":           {"name", "Please give it a name.", []string{"name", " "}},
		"no service":        {"service", "Please choose one of these services.", []string{"service", ""}},
		"unknown service":   {"service", "Please choose one of these services.", []string{"service", "2"}},
		"negative service":  {"service", "Please choose one of these services.", []string{"service", "-1"}},
		"too long":          {"days", limits, []string{"days", "custom", "custom", "731"}},
		"no days":           {"days", limits, []string{"days", "custom", "custom", "0"}},
		"never":             {"days", limits, []string{"days", "never"}},
		"addresses":         {"allow_from", addresses, []string{"allow_from", "everywhere"}},
		"addresses, denied": {"deny_from", addresses, []string{"deny_from", "192.0.2.0/33"}},
		"many addresses":    {"allow_from", addresses, []string{"allow_from", strings.Repeat("192.0.2.1 192.0.2.3 ", 17)}},
		"rate":              {"rate", "such as 100/1m.", []string{"rate", "often"}},
		"rate of two days":  {"rate", "a time of a day at most", []string{"rate", "1/2d"}},
		"quota":             {"quota", "such as 1000/30d.", []string{"quota", "1/0s"}},
		"not before":        {"not_before", "Please choose a day before", []string{"not_before", "tomorrow"}},
		"after its end":     {"not_before", "Please choose a day before", []string{"not_before", "2999-01-01"}},
		"control character": {"name", "There is a character in it that cannot be shown", []string{"name", "a\nb"}},
		"a long name":       {"name", "This name is too long. There is room for 128", []string{"name", strings.Repeat("ä", 65)}},
		"a long note":       {"note", "This note is too long. There is room for 1024", []string{"note", strings.Repeat("ä", 513)}},
	} {
		t.Run(name, func(t *testing.T) {
			b.Open(t, tokeneptest.AccountPath+"?view=new")
			a := b.Submit(t, "make", append([]string{"name", "n", "service", "0"}, c.pairs...)...)
			if a.Status != http.StatusBadRequest || !strings.Contains(b.Text(), "It was not made yet.") {
				t.Errorf("%d %s", a.Status, b.Text())
			}
			marked(t, a, c.field, c.want)
		})
	}
	b.Open(t, tokeneptest.AccountPath+"?view=new")
	a := b.Submit(t, "make", "name", strings.Repeat("x", 129), "service", "0", "rate", "often", "quota", "often")
	marked(t, a, "name", "This name is too long.", "rate", "100/1m", "quota", "1000/30d")
	if tokens, err := s.APITokens.List(t.Context(), "ann", "", 10); err != nil || len(tokens) != 0 {
		t.Errorf("%v %v were made", tokens, err)
	}
	// What was chosen is chosen still.
	b.Open(t, tokeneptest.AccountPath+"?view=new")
	b.Submit(t, "make", "name", "n", "service", "1", "days", "7", "allow_from", "everywhere")
	text := secret(t, b.Submit(t, "make", "allow_from", ""))
	made, err := s.APITokens.Load(t.Context(), strings.Split(text, "_")[1])
	if err != nil || made.Service != tokeneptest.Invoices || made.Expires.Sub(made.Created) != 7*24*time.Hour {
		t.Errorf("%+v %v; want one for the invoices, for a week", made, err)
	}
}

var (
	fieldOfForm = regexp.MustCompile(`<(?:input|fieldset)[^>]*aria-invalid="true"[^>]*>`)
	whyWrong    = regexp.MustCompile(`<p class="wrong" id="([a-z_]+)_wrong">([^<]*)</p>`)
)

// marked holds the form to these fields that are wrong, each with a part of what it says.
func marked(t *testing.T, a tokeneptest.Answer, pairs ...string) {
	t.Helper()
	said := whyWrong.FindAllStringSubmatch(string(a.Body), -1)
	if len(said) != len(pairs)/2 {
		t.Fatalf("%q; want %q", said, pairs)
	}
	fields := strings.Join(fieldOfForm.FindAllString(string(a.Body), -1), "")
	for i, s := range said {
		if s[1] != pairs[2*i] || !strings.Contains(s[2], pairs[2*i+1]) {
			t.Errorf("%q; want %q", s, pairs)
		}
		if !regexp.MustCompile(`aria-describedby="([a-z_]+ )?` + s[1] + `_wrong"`).MatchString(fields) {
			t.Errorf("%s is not tied to what it says: %s", s[1], fields)
		}
	}
	if strings.Count(string(a.Body), " autofocus") != 1 {
		t.Errorf("%s; want the focus on one field", a.Body)
	}
	focus := regexp.MustCompile(`<input[^>]* name="([a-z_]+)"[^>]* autofocus`).FindSubmatch(a.Body)
	if want := pairs[0]; focus == nil || string(focus[1]) != want && (want != "days" || string(focus[1]) != "custom") {
		t.Errorf("%q has the focus, want %s", focus, want)
	}
}
