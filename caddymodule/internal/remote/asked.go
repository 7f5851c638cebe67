package remote

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// Asked is a program elsewhere that is asked about each token. Redirects are not followed, no proxy
// is used, and at most 64 KiB of an answer are read. While it does not answer, or its answer means
// nothing, whoever sends the token gets 503.
type Asked struct {
	Connection

	// Special-use addresses (RFC 6890), or blocks of them such as 10.0.0.0/8, that the host of the
	// URL may have. Default: none, but the address that is itself the host, and those of the
	// loopback interface for localhost.
	Addresses []string `json:"addresses,omitempty"`

	// How long a good answer is believed, at most 1h, and never longer than the token is good.
	// Negative: it is asked each time, but once for all who wait. Default: 30s.
	Cache caddy.Duration `json:"cache,omitempty"`

	// How long it is believed that a token is not good, at most 5m; negative for not at all.
	// Default: 10s.
	CacheRefused caddy.Duration `json:"cache_refused,omitempty"`

	// How many answers are remembered, of good tokens and of others each. Default: 10000.
	CacheEntries int `json:"cache_entries,omitempty"`
}

// ParseOption reads the line at d if it is one of these options, and says whether it is. Syntax:
//
//	addresses     <addresses…>
//	timeout       <duration>
//	requests      <count>
//	ca            <path>
//	cache         <duration> | off
//	cache_refused <duration> | off
//	cache_entries <count>
func (a *Asked) ParseOption(d *caddyfile.Dispenser, option string) (known bool, err error) {
	switch option {
	case "addresses":
		return true, adapt.Addresses(d, &a.Addresses)
	case "cache":
		return true, parseCache(d, &a.Cache)
	case "cache_refused":
		return true, parseCache(d, &a.CacheRefused)
	case "cache_entries":
		return true, adapt.Count(d, &a.CacheEntries)
	}
	return a.Connection.ParseOption(d, option)
}

// parseCache reads how long something is remembered.
func parseCache(d *caddyfile.Dispenser, into *caddy.Duration) error {
	line := *d
	if args := line.RemainingArgs(); len(args) == 1 && args[0] == "off" {
		*d, *into = line, -1
		return nil
	}
	return adapt.Duration(d, into, func(t time.Duration) error {
		if t < time.Second {
			return fmt.Errorf("the time must be 1s or more, or off; it is %s", t)
		}
		return nil
	})
}

// Answers returns how long answers are remembered.
func (a *Asked) Answers() outbound.Answers {
	return outbound.Answers{Good: time.Duration(a.Cache), Bad: time.Duration(a.CacheRefused), Entries: a.CacheEntries}
}

// Resolve returns how a URL is asked. module is the name of it, for errors.
func (a *Asked) Resolve(module, target string) (o outbound.Options, err error) {
	if o, err = a.Connection.Resolve(module); err != nil {
		return o, err
	}
	addresses, err := verify.ParseAddresses(a.Addresses)
	if err != nil {
		return o, fmt.Errorf("%s: addresses: %w", module, err)
	}
	o.Control = verify.DialControl(append(addresses, outbound.Named(target)...), outbound.Loopback(target))
	return o, nil
}
