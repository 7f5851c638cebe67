package endpoint

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/page"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// Device is the page on which a user types the code that a device shows (RFC 8628 §3.3), and
// decides. It always asks, also when a link brought the code: whoever sent that link may be the one
// who holds the device (§5.4).
//
//	GET   user_code  OPTIONAL  from a link of the device
//	POST  page       REQUIRED  from the page
//	      user_code  REQUIRED  where the page asks for it
//	      decision   REQUIRED  allow or deny, where the page asks for it
type Device struct {
	Authorize
	Devices  state.Devices
	Guesses  *tokenep.Limiter // of codes that nobody has; nil: none
	Limit    tokenep.RateLimit
	Sessions *Sessions // nil: others sign people in
}

// Endpoint returns the row of the table.
func (e Device) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: deviceName, Path: "/oauth/device",
		Methods: []string{http.MethodGet, http.MethodPost}, Origins: tokenep.CORS{}, Handler: e,
	}
}

// devicePage is what is sealed into the page.
type devicePage struct {
	Subject  string `json:"sub"`
	UserCode string `json:"user_code,omitempty"` // to decide on; empty: it is asked for
	shown
}

// ServeHTTP answers one request.
func (e Device) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.Front.Page(w, r, deviceName, func(w http.ResponseWriter, o *tokenep.Outcome) {
		if err := e.answerDevice(w, r, o); err != nil {
			e.onPage(w, r, o, err)
		}
	})
}

func (e Device) answerDevice(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome) error {
	form, err := tokenep.ReadParameters(r, []string{"user_code", "page", "decision"})
	if err != nil {
		return err
	}
	if err := fromElsewhere(r); err != nil && r.Method == http.MethodPost {
		return err // before a cookie is set: it came without those of this site
	}
	code := form.Get("user_code")
	user, err := e.user(r)
	if err != nil {
		if e.Sessions == nil || !errors.Is(err, tokenep.LoginRequired) {
			return err
		}
		f := flow{Then: deviceName, shown: e.show(w, r)}
		if code != "" {
			f.Query = url.Values{"user_code": {code}}.Encode()
		}
		return e.begin(w, r, f)
	}
	if r.Method == http.MethodGet {
		if code == "" {
			return e.enter(w, r, user, "", http.StatusOK)
		}
		return e.confirm(w, r, o, user, code)
	}
	var p devicePage
	if err := e.open(r, forDevices, form.Get("page"), &p, &p.shown); err != nil {
		return err
	}
	switch {
	case p.Subject != user.Subject:
		return tokenep.InvalidRequest.Describe("this page was shown to another user")
	case p.UserCode == "":
		return e.confirm(w, r, o, user, code)
	}
	return e.decideDevice(w, r, o, user, p.UserCode, form.Get("decision"))
}

// enter shows the page that asks for the code.
func (e Device) enter(w http.ResponseWriter, r *http.Request, user tokenep.User, failed string, status int) error {
	sealed, err := e.Seals.seal(forDevices, devicePage{Subject: user.Subject, shown: e.show(w, r)})
	if err != nil {
		return err
	}
	e.Pages.Show(w, r, status, page.Device{Action: e.to(r, deviceName), Page: sealed, User: user.Subject, Failed: failed})
	return nil
}

// confirm shows what asks, for what, and from where.
func (e Device) confirm(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, user tokenep.User, code string) error {
	d, err := e.lookup(r.Context(), r, user, code)
	if err != nil {
		return e.failed(w, r, o, user, err)
	}
	client, err := e.deviceClient(r.Context(), &d)
	if err != nil {
		return err
	}
	o.Client = client
	sealed, err := e.Seals.seal(forDevices, devicePage{Subject: user.Subject, UserCode: d.UserCode, shown: e.show(w, r)})
	if err != nil {
		return err
	}
	e.Pages.Show(w, r, http.StatusOK, page.Device{
		Action: e.to(r, deviceName), Page: sealed, User: user.Subject, Client: describe(client),
		UserCode: d.UserCode, Scope: d.Scope, Audience: d.Audience, Address: d.Address,
	}, logo(client))
	return nil
}

// lookup returns the device that waits for this code. Wrong codes are counted, for the user at all
// addresses and for the address: there are few enough to be guessed otherwise (RFC 8628 §5.1).
func (e Device) lookup(ctx context.Context, r *http.Request, user tokenep.User, code string) (state.Device, error) {
	attempt := e.Guesses.Guess(e.Limit, e.Front.Address(r), "device "+user.Subject)
	if err := attempt.Allow(ctx); err != nil {
		return state.Device{}, err
	}
	if err := attempt.Count(); err != nil {
		return state.Device{}, err
	}
	d, err := e.Devices.Lookup(ctx, code)
	if err == nil {
		err = attempt.Succeeded()
	}
	return d, err
}

// deviceClient returns the client of a device, as it is registered now.
func (e Device) deviceClient(ctx context.Context, d *state.Device) (*tokenep.Client, error) {
	client, err := e.Clients(ctx, d.ClientID)
	if err != nil && !errors.Is(err, tokenep.InvalidClient) {
		return nil, err
	}
	if err != nil || client.RegistrationID != d.RegistrationID || !client.May(grant.DeviceCodeType) || !client.Scope.Includes(d.Scope) {
		return nil, tokenep.InvalidRequest.Describe("the client may not ask for this any more").Because(err)
	}
	return client, nil
}

// failed says why there is nothing to decide.
func (e Device) failed(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, user tokenep.User, err error) error {
	if refused := tokenep.AsError(err); refused.Status == http.StatusTooManyRequests {
		o.Err = refused
		tokenep.SetRetryAfter(w.Header(), refused)
		return e.enter(w, r, user, "device.many", refused.Status)
	}
	switch {
	case errors.Is(err, state.ErrDecided):
		return e.enter(w, r, user, "device.decided", http.StatusBadRequest)
	case errors.Is(err, state.ErrExpired):
		return e.enter(w, r, user, "device.expired", http.StatusBadRequest)
	case errors.Is(err, state.ErrRefused):
		return e.enter(w, r, user, "device.unknown", http.StatusBadRequest)
	}
	return err
}

// decideDevice does what the user has decided, and says so.
func (e Device) decideDevice(w http.ResponseWriter, r *http.Request, o *tokenep.Outcome, user tokenep.User, code, decision string) error {
	var done string
	var d state.Device
	var err error
	switch decision {
	case "deny":
		done = "device.denied"
		d, err = e.Devices.Deny(r.Context(), code)
	case "allow":
		done = "device.allowed"
		d, err = e.allowDevice(r.Context(), o, user, code)
	default:
		return tokenep.InvalidRequest.Describe("the page was answered with neither allow nor deny")
	}
	if err != nil {
		return e.failed(w, r, o, user, err)
	}
	if o.Event = "device allowed"; decision == "deny" {
		o.Event = "device denied"
	}
	o.Details = []slog.Attr{slog.String("sub", user.Subject), slog.String("scope", d.Scope.String()), slog.String("grant_id", d.Family)}
	e.Pages.Show(w, r, http.StatusOK, page.Device{Done: done})
	return nil
}

// allowDevice notes what the user has allowed, and then tells the device: so it is listed where the
// user can revoke it before anything is given.
func (e Device) allowDevice(ctx context.Context, o *tokenep.Outcome, user tokenep.User, code string) (state.Device, error) {
	d, err := e.Devices.Lookup(ctx, code)
	if err != nil {
		return d, err
	}
	client, err := e.deviceClient(ctx, &d)
	if err != nil {
		return d, err
	}
	o.Client = client
	if err := e.Use(ctx, client); err != nil {
		return d, err
	}
	given := state.Code{
		Family: d.Family, ClientID: d.ClientID, RegistrationID: d.RegistrationID, Subject: user.Subject,
		Scope: d.Scope, Audience: d.Audience, Created: e.Now(), Expires: d.Expires,
	}
	if err := e.Consents.Allow(ctx, given, client.May(grant.RefreshTokenType)); err != nil {
		return d, err
	}
	if !e.SignsIn && e.Claims.Release(d.Scope) {
		if err := e.Users.Save(ctx, user.Subject, user.Claims); err != nil {
			return d, err
		}
	}
	return e.Devices.Allow(ctx, code, user.Subject, d.Scope, user.SignIn)
}
