package state_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// everything is all records of a store.
func everything(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, kind := range []string{
		"family", "device", "api_token", "api_token_owner", "revocation", "revocation_head", "seen", "client", "secret",
	} {
		records, err := s.List(t.Context(), kind, "", "", store.MaxPage)
		must(t, err)
		for _, r := range records {
			all[kind+" "+r.ID] = fmt.Sprintf("%d %s %s", r.Version, r.Data, r.Expires)
		}
	}
	return all
}

// checks is a Check of each credential in each of its states, and what comes of it. Those that may
// write are not among them: a replay, a reuse, and a poll before the user has decided.
func checks(t *testing.T, i *issuer, c *clock) map[string]func() (want, err error) {
	t.Helper()
	code := func(code string, check, want error) func() (error, error) {
		return func() (error, error) {
			_, _, err := i.codes.Check(t.Context(), code, func(state.Code) error { return check })
			return want, err
		}
	}
	token := func(token string, check, want error) func() (error, error) {
		return func() (error, error) {
			_, _, err := i.families.Check(t.Context(), token, func(state.Family) error { return check })
			return want, err
		}
	}
	device := func(code string, check, want error) func() (error, error) {
		return func() (error, error) {
			_, _, err := i.devices.Check(t.Context(), code, func(state.Device) error { return check })
			return want, err
		}
	}
	apiToken := func(token string, want error) func() (error, error) {
		return func() (error, error) { _, _, err := i.tokens.Check(t.Context(), token, netip.Addr{}); return want, err }
	}

	expired, _ := mustIssue(t, i.codes)
	c.Advance(state.DefaultCodeLife)
	good, _ := mustIssue(t, i.codes)
	spent, _ := mustIssue(t, i.codes)
	_, err := redeem(t.Context(), i.codes, spent, anyCode)
	must(t, err)

	old, _ := mustStart(t, i.families)
	before := mustRotate(t, i.families, old)
	newest := mustRotate(t, i.families, before)
	revoked, f := mustStart(t, i.families)
	must(t, i.families.Revoke(t.Context(), f.ID))

	allowed, err := i.allowedDevice(t.Context(), "ann")
	must(t, err)
	taken, err := i.allowedDevice(t.Context(), "ann")
	must(t, err)
	_, err = poll(t.Context(), i.devices, taken, anyDevice)
	must(t, err)
	denied, d := mustStartDevice(t, i.devices)
	_, err = i.devices.Deny(t.Context(), d.UserCode)
	must(t, err)
	pending, _ := mustStartDevice(t, i.devices)

	api, _ := mustCreate(t, i.tokens, "ann")
	ended, made := mustCreate(t, i.tokens, "ann")
	must(t, i.tokens.Revoke(t.Context(), made.ID, ""))

	return map[string]func() (want, err error){
		"code":                          code(good, nil, nil),
		"code of another client":        code(good, errCheck, errCheck),
		"code, expired":                 code(expired, nil, state.ErrExpired),
		"code, spent, another client's": code(spent, errCheck, errCheck),
		"code, unknown":                 code(strings.Repeat("a", 36+43), nil, state.ErrUnknown),
		"code, malformed":               code("a", nil, state.ErrMalformed),

		"refresh token":                        token(newest, nil, nil),
		"refresh token in its grace":           token(before, nil, nil),
		"refresh token of another client":      token(newest, errCheck, errCheck),
		"refresh token, old, another client's": token(old, errCheck, errCheck),
		"refresh token, revoked":               token(revoked, nil, state.ErrRevoked),
		"refresh token, forged":                token(state.ForgeSecret(testKey(), newest), nil, state.ErrUnknown),
		"refresh token, malformed":             token("rt_", nil, state.ErrMalformed),

		"device code, allowed":              device(allowed, nil, nil),
		"device code of another client":     device(allowed, errCheck, errCheck),
		"device code, taken":                device(taken, nil, state.ErrSpent),
		"device code, denied":               device(denied, nil, state.ErrDenied),
		"device code, pending, another's":   device(pending, errCheck, errCheck),
		"device code, of the user's letter": device(pending[:8]+strings.Repeat("x", 43), nil, state.ErrUnknown),

		"API token":            apiToken(api, nil),
		"API token, revoked":   apiToken(ended, state.ErrRevokedAPIToken),
		"API token, unknown":   apiToken(state.FormatAPIToken("demo", "0123456789AB", strings.Repeat("s", 43)), state.ErrUnknownAPIToken),
		"API token, malformed": apiToken("demo_", state.ErrMalformedAPIToken),
	}
}

// A request may be refused after its Check, for its scope or its audience, and then nothing was
// spent.
func TestCheckChangesNothing(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		all := checks(t, newIssuer(s, c.Now), c)
		before := everything(t, s)
		for range 3 {
			for name, check := range all {
				if want, err := check(); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", name, err, want)
				}
				if after := everything(t, s); !maps.Equal(before, after) {
					t.Fatalf("%s: the store has changed:\n%v\nbefore:\n%v", name, after, before)
				}
			}
		}
	})
}
