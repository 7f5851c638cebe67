package oauthverify

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/internal/remote"
	"github.com/tokenep/caddy-tokenep/tokenep/upstream"
	"github.com/tokenep/caddy-tokenep/verify"
)

func duration(d caddy.Duration) time.Duration { return time.Duration(d) }

var errNotProvisioned = errors.New("the credential for the upstream is not provisioned")

func noCredential(*http.Request, *verify.Token, string) (c verify.Credential, err error) {
	return c, errNotProvisioned
}

// replace gives the guard the credential that takes the place of the token. Nobody is asked yet.
func (h *Handler) replace(ctx caddy.Context, issuers []verify.TrustedIssuer) (err error) {
	a, own := h.Authorization, ""
	if h.guard.Replace == nil {
		return nil
	}
	if h.server != nil {
		own = h.server.Server().Trusted().Name
	}
	if err := a.checkIssuers(issuers, own); err != nil {
		return err
	}
	kind, _ := a.kind()
	_, form, err := a.place(kind)
	if err != nil {
		return err
	}
	h.obtained = ctx.Slogger().With("authorization", kind, "audience", append(slices.Clone(h.Audience), h.Resource)[0])
	if server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); server != nil && server.Logs != nil {
		h.guard.Replace.Used = showCredential
	}
	h.guard.Replace.Elsewhere = kind == "ask" || kind == "exchange"
	switch credential := &h.guard.Replace.Credential; kind {
	case "token":
		*credential, err = h.minted(a.Token.options(form))
	case "ask":
		*credential, err = h.asked(a.Ask, form)
	case "exchange":
		*credential, err = h.exchanged(a.Exchange, form)
	case "file":
		*credential, err = h.table(a.File, form)
	case "value":
		adapt.WarnLiteral(h.logger, "authorization value", a.Value)
		*credential, err = h.configured(form, a.Value)
	case "basic":
		adapt.WarnLiteral(h.logger, "authorization basic", a.Basic.Password)
		*credential, err = h.configured(form, a.Basic.User, a.Basic.Password)
	}
	if err != nil {
		return fmt.Errorf("authorization %s: %w", kind, err)
	}
	return nil
}

// showCredential adds the id of the credential that a request goes on with to its line of Caddy's
// access log.
func showCredential(r *http.Request, id string) {
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.String("upstream_credential", id))
	}
}

func (h *Handler) minted(o upstream.MintedOptions) (upstream.Finder, error) {
	o.Minter, o.Leeway = h.server.Server().Minter(), h.leeway()
	m, err := upstream.NewMinted(o)
	if err != nil {
		return nil, err
	}
	return m.Credential(h.obtained), nil
}

func (h *Handler) asked(c *AskedCredential, form upstream.Form) (upstream.Finder, error) {
	o := c.literal(form)
	var err error
	if o.URL, err = adapt.Resolve("url", c.URL); err != nil {
		return nil, err
	}
	if o.Header, err = remote.ResolveFields(h.logger, "authorization ask", c.Header); err != nil {
		return nil, err
	}
	if o.Connection, err = c.options("ask", o.URL); err != nil {
		return nil, err
	}
	h.warnOfHTTP(c.InsecureHTTP)
	return h.credentials(c.CA, []any{o.URL, o.Header}, func() (s sharedCredentials, err error) {
		asked, err := upstream.NewAsked(o)
		if err != nil {
			return s, err
		}
		return sharedCredentials{asked.Credential, asked.Close}, nil
	})
}

func (h *Handler) exchanged(x *ExchangedToken, form upstream.Form) (upstream.Finder, error) {
	o := x.literal(form)
	var resolved []string
	for _, e := range []struct {
		from *Endpoint
		into *upstream.Endpoint
	}{{&x.Endpoint, &o.Exchange}, {x.Assert, &o.Assert}} {
		if e.from == nil {
			continue
		}
		var err error
		if e.into.URL, err = adapt.Resolve("url", e.from.URL); err != nil {
			return nil, err
		}
		if e.into.ClientID, err = adapt.Resolve("client", e.from.ClientID); err != nil {
			return nil, err
		}
		adapt.WarnLiteral(h.logger, "authorization exchange: the client's secret", e.from.ClientSecret)
		if e.from.ClientSecret != "" {
			if e.into.ClientSecret, err = adapt.Resolve("the client's secret", e.from.ClientSecret); err != nil {
				return nil, err
			}
		}
		if e.into.Connection, err = x.options("exchange", e.into.URL); err != nil {
			return nil, err
		}
		resolved = append(resolved, e.into.URL, e.into.ClientID, e.into.ClientSecret)
	}
	h.warnOfHTTP(x.InsecureHTTP)
	return h.credentials(x.CA, resolved, func() (s sharedCredentials, err error) {
		fetched, err := upstream.NewFetched(o)
		if err != nil {
			return s, err
		}
		return sharedCredentials{fetched.Credential, fetched.Close}, nil
	})
}

func (h *Handler) warnOfHTTP(insecure bool) {
	if insecure {
		h.logger.Warn("insecure_http: credentials for the upstream cross the network in clear")
	}
}

func (h *Handler) table(path string, form upstream.Form) (upstream.Finder, error) {
	path, err := adapt.Resolve("file", path)
	if err != nil {
		return nil, err
	}
	table, err := upstream.NewTable(path, form, time.Now, h.obtained)
	if err != nil {
		return nil, err
	}
	return table.Credential, nil
}

// part is a piece of a value: a text, and the placeholder of the request behind it, if any.
type part struct {
	text, placeholder string
	claim             []string // of which the placeholder is; nil: of none
}

var inBraces = regexp.MustCompile(`\{[^{}]+\}`)

// parts reads a value. What is not of the request is resolved now, and never again: a secret may
// have braces.
func parts(value string) (all []part, err error) {
	at := 0
	for _, found := range inBraces.FindAllStringIndex(value, -1) {
		text, name := value[at:found[0]], value[found[0]+1:found[1]-1]
		at = found[1]
		if strings.HasPrefix(name, "http.") {
			p := part{text: text, placeholder: name}
			if path, ok := strings.CutPrefix(name, userPlaceholder); ok && path != "id" {
				p.claim, _ = verify.ParseClaimPath(path) // what is no path leads to none
			}
			all = append(all, p)
			continue
		}
		resolved, err := adapt.Resolve("value", "{"+name+"}")
		if err != nil {
			return nil, err
		}
		all = append(all, part{text: text + resolved})
	}
	return append(all, part{text: value[at:]}), nil
}

// configured returns what makes a credential of values of the configuration, which has an id from
// now until it is loaded again.
func (h *Handler) configured(form upstream.Form, values ...string) (upstream.Finder, error) {
	id := upstream.NewID()
	find, err := composed(id, form, values...)
	if err == nil {
		upstream.Record(h.obtained, id, nil)
	}
	return find, err
}

// composed returns what makes a credential of one value, or of a user name and a password.
func composed(id string, form upstream.Form, values ...string) (upstream.Finder, error) {
	all, dynamic := make([][]part, len(values)), false
	for i, value := range values {
		var err error
		if all[i], err = parts(value); err != nil {
			return nil, err
		}
		for _, p := range all[i] {
			dynamic = dynamic || p.placeholder != ""
		}
	}
	write := func(r *http.Request, t *verify.Token) (c verify.Credential, err error) {
		text, err := compose(r, t, all[0])
		if err == nil && len(all) == 2 {
			text, err = composeBasic(r, t, text, all[1])
		}
		if err == nil && form != nil {
			text, err = form(text)
		}
		if err != nil {
			return c, err
		}
		return verify.NewCredential(text, id), nil
	}
	if !dynamic {
		c, err := write(nil, nil)
		return func(*http.Request, *verify.Token, string) (verify.Credential, error) { return c, nil }, err
	}
	return func(r *http.Request, t *verify.Token, _ string) (verify.Credential, error) {
		c, err := write(r, t)
		if err != nil {
			err = &verify.Error{Status: http.StatusForbidden, Code: verify.AccessDenied,
				Description: "the application behind this API has no access for this token", Cause: err}
		}
		return c, err
	}, nil
}

var errColon = errors.New("the user name has a colon, which would end it (RFC 7617 §2)")

// composeBasic returns a user name and the password for a request, as RFC 7617 §2 joins them.
func composeBasic(r *http.Request, t *verify.Token, user string, password []part) (string, error) {
	if strings.Contains(user, ":") {
		return "", errColon
	}
	text, err := compose(r, t, password)
	return user + ":" + text, err
}

// compose returns a value for a request. The claims are those of t, whoever was let in before.
func compose(r *http.Request, t *verify.Token, all []part) (text string, err error) {
	for _, p := range all {
		text += p.text
		if p.placeholder == "" {
			continue
		}
		value, err := p.valueOf(r, t)
		if err != nil {
			return "", err
		}
		got := caddy.ToString(value)
		if got == "" {
			return "", fmt.Errorf("{%s} is empty", p.placeholder)
		}
		text += got
	}
	return text, nil
}

// valueOf returns what a placeholder is in a credential. No credential may be that of another
// claim: here a list of several values has none, and a text with commas, which would be like it, is
// as it is.
func (p *part) valueOf(r *http.Request, t *verify.Token) (value any, err error) {
	if p.claim != nil {
		claim, _ := t.Claim(p.claim...)
		if list, ok := claim.([]any); ok && len(list) > 1 {
			return nil, fmt.Errorf("{%s} is a list of several values, which would be like one text with commas", p.placeholder)
		}
		return textOf(claim), nil
	}
	value, known := (&identity{token: t}).placeholder(p.placeholder)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok && !known {
		value, _ = repl.Get(p.placeholder)
	}
	return value, nil
}
