package oauthverify

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// members are options as JSON has them, also those that are false, 0, empty or null.
type members map[string]json.RawMessage

// membersOf returns the options that are given in v.
func membersOf(v any) (m members, err error) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	return m, err
}

// UnmarshalJSON keeps which options are given: one that is false or empty takes back the policy's.
func (h *Handler) UnmarshalJSON(text []byte) error {
	type plain Handler
	if err := caddy.StrictUnmarshalJSON(text, (*plain)(h)); err != nil {
		return err
	}
	var given members
	if err := json.Unmarshal(text, &given); err != nil {
		return err
	}
	h.given = make(members, len(given))
	for name, value := range given {
		h.given[strings.ToLower(name)] = value // case is nothing to encoding/json
	}
	return nil
}

// MarshalJSON writes the options that are given.
func (h *Handler) MarshalJSON() ([]byte, error) {
	type plain Handler
	all, err := membersOf((*plain)(h))
	if err != nil {
		return nil, err
	}
	for name, value := range h.given {
		if all[name] == nil {
			all[name] = value
		}
	}
	return json.Marshal(all)
}

// apply returns the options of a route that has a policy.
func (a *App) apply(h *Handler) (Options, error) {
	policy := a.Policies[h.Policy]
	if policy == nil {
		return h.Options, fmt.Errorf("there is no policy %q; configured are %q", h.Policy, slices.Sorted(maps.Keys(a.Policies)))
	}
	var all Options
	merged, err := membersOf(policy)
	if err != nil {
		return all, err
	}
	own, err := membersOf(h)
	if err != nil {
		return all, err
	}
	maps.Copy(merged, own) // so that a list replaces another
	text, err := json.Marshal(merged)
	if err != nil {
		return all, err
	}
	return all, json.Unmarshal(text, &all)
}

// parsePolicyOf reads the policy of a route, "policy <name> [except <options…>]". The route does
// not have these options of it.
func (h *Handler) parsePolicyOf(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || args[0] == "" || len(args) == 2 || len(args) > 2 && args[1] != "except" {
		return d.Err("policy takes its name, and behind the word except the options of it that the route does not have")
	}
	h.Policy, h.given = args[0], make(members)
	for _, option := range args[min(2, len(args)):] {
		name, zero := withoutOption(option)
		if name == "" {
			return d.Errf("policy: except %s: there is no such option", option)
		}
		h.given[name] = zero
	}
	return nil
}

// checkExcept refuses an option that is given beside except, which needs none.
func (h *Handler) checkExcept() error {
	own, err := membersOf(&h.Options)
	for _, name := range slices.Sorted(maps.Keys(h.given)) {
		if err == nil && own[name] != nil {
			err = fmt.Errorf("%s takes the place of the policy's as it is: remove it here, or behind except", name)
		}
	}
	return err
}

// withoutOption returns the member of an option of that name, and what says that it is not given;
// "": there is no such option.
func withoutOption(option string) (name string, zero json.RawMessage) {
	for field := range reflect.TypeFor[Options]().Fields() {
		name, _, _ = strings.Cut(field.Tag.Get("json"), ",")
		if name == option || name == option+"s" { // a line for each element
			zero, _ = json.Marshal(reflect.Zero(field.Type).Interface()) // it cannot fail
			return name, zero
		}
	}
	return "", nil
}
