package server

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/tokenep/page"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Memory is what an issuer keeps in the process and not in the store. A new configuration takes it
// over from the old one.
type Memory struct {
	Revocations   *verify.Revocations
	Cache         *verify.Cache
	Limiter       *tokenep.Limiter // nil: failures are not limited
	SignIns       *tokenep.Limiter // of people, likewise
	Devices       *tokenep.Pace    // of device codes; nil: as many as come
	Registrations *tokenep.Pace    // of clients; nil: as many as come
	Turns         *tokenep.Turns   // at slow hashes; nil: those of the process
	Fetcher       *verify.Fetcher  // of the keys of clients; never nil
	Rates         *verify.Rates    // of API tokens, and of what they were exchanged for; never nil

	people       knownPeople      // who may have tokens
	idTokenRings sync.Map         // of *keys.Ring by algorithm, likewise
	refreshMAC   state.RefreshMAC // of refresh tokens
	leakPace     *tokenep.Pace    // of reports of leaked credentials
	slowLeaks    *tokenep.Pace    // of slow hashes for them
	leaks        *leaks           // that are to be revoked
	told         *verify.Rates    // of denied API tokens, lately
	imports      state.APITokenImports
	proven       tokenep.Proven              // imported API tokens with slow hashes
	uses         state.APITokenUses          // of API tokens
	nonces       *verify.Nonces              // for DPoP proofs
	pages        endpoint.PageKey            // of requests that wait for a user
	ring         atomic.Pointer[keys.Ring]   // of the configuration that was started last
	chain        atomic.Pointer[state.Chain] // likewise; nil: none was
	look         atomic.Pointer[look]        // the pages that were read last
}

// knownPlace is how long it is remembered from where a person has signed in.
const knownPlace = 30 * 24 * time.Hour

// CachedTokens is how many proven tokens a cache holds by default.
const CachedTokens = 100_000

// NewMemory returns an empty Memory.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{
		Revocations:   new(verify.Revocations),
		Cache:         verify.NewCache(CachedTokens, now),
		Limiter:       &tokenep.Limiter{Now: now},
		SignIns:       &tokenep.Limiter{Now: now, Remember: knownPlace},
		Devices:       &tokenep.Pace{PerAddress: devicesPerAddress, InAll: devicesInAll, Per: devicesPer, Now: now},
		Registrations: &tokenep.Pace{PerAddress: registrationsPerAddress, InAll: registrationsInAll, Per: registrationsPer, Now: now},
		Fetcher:       verify.NewFetcher(verify.URLKeysOptions{Now: now}),
		Rates:         verify.NewRates(now),
		told:          verify.NewRates(now),
		leakPace:      &tokenep.Pace{PerAddress: leaksPerAddress, InAll: leaksInAll, Per: time.Hour, Now: now},
		slowLeaks:     &tokenep.Pace{PerAddress: slowLeaksPerAddress, InAll: slowLeaksInAll, Per: time.Hour, Now: now},
		leaks:         newLeaks(),
		nonces:        verify.NewNonces(now),
	}
}

// look is a set of pages, and whose.
type look struct {
	brand page.Brand
	pages *page.Set
}

// pageSet returns the pages of a configuration: those of the one before, if they are the same. What
// is in a folder may have changed.
func (m *Memory) pageSet(o page.Options) (*page.Set, error) {
	if kept := m.look.Load(); kept != nil && o.Folder == nil && kept.brand == o.Brand {
		return kept.pages, nil
	}
	pages, err := page.New(o)
	if err == nil && o.Folder == nil {
		m.look.Store(&look{o.Brand, pages})
	}
	return pages, err
}

// addParts makes the parts that are left out.
func (c *Config) addParts() {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.ClientAddress == nil {
		c.ClientAddress = tokenep.PeerAddress
	}
	if c.Memory == nil {
		c.Memory = NewMemory(c.Now)
	}
}
