package verify

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// maxFetchers bounds the URLs that a Fetcher remembers.
const maxFetchers = 4096

// Fetcher shares key sets: a URL is fetched once, however many issuers, clients and configurations
// name it. It is safe for concurrent use.
type Fetcher struct {
	options URLKeysOptions

	mu   sync.Mutex
	sets map[string]*URLKeys
}

// NewFetcher returns a Fetcher whose key sets have these options, but for Addresses and Logger.
func NewFetcher(o URLKeysOptions) *Fetcher {
	return &Fetcher{options: o, sets: make(map[string]*URLKeys)}
}

// Keys returns the keys at a URL; see [URLKeysOptions] for addresses, and [NewURLKeys]. They log to
// the logger that was given last.
func (f *Fetcher) Keys(uri string, addresses []netip.Prefix, logger *slog.Logger) (*URLKeys, error) {
	return f.share(uri, addresses, logger, func(o URLKeysOptions) (*URLKeys, error) { return NewURLKeys(uri, o) })
}

// Bundle returns the keys for JWT-SVIDs in the bundle of a SPIFFE trust domain, which is at a URL.
// It is otherwise as Keys.
func (f *Fetcher) Bundle(uri string, addresses []netip.Prefix, logger *slog.Logger) (*URLKeys, error) {
	return f.share("bundle "+uri, addresses, logger, func(o URLKeysOptions) (*URLKeys, error) {
		o.SPIFFE = true
		return NewURLKeys(uri, o)
	})
}

// Discover returns the keys of an issuer by its metadata; see [NewDiscoveredKeys]. They log to the
// logger that was given last.
func (f *Fetcher) Discover(issuer, document string, addresses []netip.Prefix, logger *slog.Logger) (*URLKeys, error) {
	return f.share("discovery "+issuer+" "+document, addresses, logger, func(o URLKeysOptions) (*URLKeys, error) {
		return NewDiscoveredKeys(issuer, document, o)
	})
}

// share returns the set of a name, which is made if there is none.
func (f *Fetcher) share(
	what string, addresses []netip.Prefix, logger *slog.Logger, open func(URLKeysOptions) (*URLKeys, error),
) (*URLKeys, error) {
	name := f.name(what, addresses)
	f.mu.Lock()
	defer f.mu.Unlock()
	if set := f.sets[name]; set != nil {
		set.setLogger(logger)
		return set, nil
	}
	o := f.options
	o.Addresses, o.Logger = slices.Clone(addresses), logger
	set, err := open(o)
	if err != nil {
		return nil, err
	}
	if len(f.sets) >= maxFetchers {
		for any := range f.sets {
			delete(f.sets, any)
			break
		}
	}
	f.sets[name] = set
	return set, nil
}

// name tells sets apart that may be fetched from different addresses. Neither a URL nor an address
// has a space in it.
func (*Fetcher) name(what string, addresses []netip.Prefix) string {
	texts := []string{what}
	for _, prefix := range addresses {
		texts = append(texts, prefix.String())
	}
	return strings.Join(texts, " ")
}
