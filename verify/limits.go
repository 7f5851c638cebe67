package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"
)

// Limit is a bound on the use of an access token, which comes of the credential that it was
// exchanged for: from which addresses it may be used, and how often. A token has one for each such
// credential, and all of them apply.
//
// They are the private claim use_limits (RFC 7519 §4.3), a list of objects. A [Guard] holds
// requests to them; whoever verifies tokens without a Guard must do so itself.
type Limit struct {
	// ID names what is counted: the grant_id of the credential.
	ID string `json:"id"`

	Addresses

	// Rate is how often the token, and all others of the same ID, may be used; zero: at will. Each
	// process counts for itself.
	Rate Rate `json:"rate,omitzero"`
}

// Addresses says from where something may be used: from the blocks of AllowFrom, or from everywhere
// where there are none, but from none of DenyFrom.
type Addresses struct {
	AllowFrom []netip.Prefix `json:"allow_from,omitempty"`
	DenyFrom  []netip.Prefix `json:"deny_from,omitempty"`
}

// Any reports whether all addresses are permitted.
func (a *Addresses) Any() bool { return len(a.AllowFrom) == 0 && len(a.DenyFrom) == 0 }

// Permit reports whether an address is permitted. One that is not known is not, unless all are.
func (a *Addresses) Permit(address netip.Addr) bool {
	if a.Any() {
		return true
	}
	address = address.Unmap().WithZone("")
	if !address.IsValid() || contains(a.DenyFrom, address) {
		return false
	}
	return len(a.AllowFrom) == 0 || contains(a.AllowFrom, address)
}

func contains(blocks []netip.Prefix, address netip.Addr) bool {
	for i := range blocks {
		if blocks[i].Contains(address) {
			return true
		}
	}
	return false
}

// RateLimited is the error code, for the log, of a token that is good, but not so often. No
// challenge goes with 429.
const RateLimited = "rate_limited"

// limit holds a request with a token to all of its limits. It is the last rule: one that was
// refused is not counted.
func (g *Guard) limit(r *http.Request, t *Token) error {
	if err := g.limitAddress(r, t); err != nil {
		return err
	}
	for i := range t.Limits {
		l := &t.Limits[i]
		if wait := g.Rates.Take(t.Issuer, l.ID, l.Rate); wait > 0 {
			for _, counted := range t.Limits[:i] {
				g.Rates.Return(t.Issuer, counted.ID, counted.Rate)
			}
			return tooOften(l, wait)
		}
	}
	return nil
}

// limitAddress holds a request to the addresses from which its token may be used.
func (g *Guard) limitAddress(r *http.Request, t *Token) error {
	var from netip.Addr
	for i := range t.Limits {
		if l := &t.Limits[i]; !l.Any() {
			if !from.IsValid() {
				from = g.address(r)
			}
			if !l.Permit(from) {
				return &Error{Status: http.StatusForbidden, Code: AccessDenied, Scope: Scope{}, Limit: l,
					Description: "the access token may not be used from this address",
					Cause:       fmt.Errorf("%s is not among those of %s", from, l.ID)}
			}
		}
	}
	return nil
}

// limitRate says whether limit would refuse a token as used too often, and counts nothing.
func (g *Guard) limitRate(t *Token) error {
	for i := range t.Limits {
		if wait := g.Rates.Wait(t.Issuer, t.Limits[i].ID, t.Limits[i].Rate); wait > 0 {
			return tooOften(&t.Limits[i], wait)
		}
	}
	return nil
}

func tooOften(l *Limit, wait time.Duration) error {
	return &Error{Status: http.StatusTooManyRequests, Code: RateLimited, RetryAfter: wait, Limit: l,
		Description: "the access token is used too often; try again later",
		Cause:       fmt.Errorf("%s is good for %s", l.ID, l.Rate)}
}

// address returns the address that a request comes from.
func (g *Guard) address(r *http.Request) netip.Addr {
	if g.ClientAddress != nil {
		return g.ClientAddress(r)
	}
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr()
}

const limitsClaim = "use_limits"

// The largest use_limits that are read.
const (
	maxLimits     = 16
	maxLimitAddrs = 64 // blocks of one limit
)

var errLimits = errors.New("use_limits is not a list of objects with id, allow_from, deny_from and rate")

// parseLimits reads use_limits. What cannot be read bounds the token in a way that is not known.
func parseLimits(claims map[string]any, t *Token) error {
	value, present := claims[limitsClaim]
	if !present {
		return nil
	}
	list, ok := value.([]any)
	if !ok || len(list) == 0 || len(list) > maxLimits {
		return errLimits
	}
	text, err := json.Marshal(list)
	if err != nil {
		return errLimits
	}
	var limits []Limit
	if err := json.Unmarshal(text, &limits); err != nil {
		return errLimits
	}
	for i := range limits {
		object, _ := list[i].(map[string]any)
		known := 0
		for _, name := range [...]string{"id", "allow_from", "deny_from", "rate"} {
			if _, there := object[name]; there {
				known++
			}
		}
		l := &limits[i]
		if known != len(object) || !isName(l.ID) || len(l.AllowFrom)+len(l.DenyFrom) > maxLimitAddrs {
			return errLimits
		}
		// An empty list would be taken for none.
		if _, there := object["allow_from"]; there && len(l.AllowFrom) == 0 {
			return errLimits
		}
		if _, there := object["rate"]; there && l.Rate.IsZero() {
			return errLimits
		}
	}
	t.Limits = limits
	return nil
}
