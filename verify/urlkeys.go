package verify

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// URLKeys is a KeySet at a URL: the jwks_uri of an issuer (RFC 8414 §2) or of a client (RFC 7591
// §2), which is known, or found by the metadata of the issuer. It is fetched when it is first
// needed, and again, in the background, when four fifths of its life are over, give or take a
// twentieth of it: Every is its life. One that nobody asked for in twice that time is not used
// before it was fetched.
//
// A key that is not in the set makes it be fetched at once, since it may be new, but no more often
// than every ten seconds: whoever sends tokens chooses their kid. There is one fetch at a time, for
// which all wait who need it, for five seconds at the most.
//
// If the set cannot be fetched, or ParseKeySet refuses it, the last good version stays in force for
// MaxStale, and the reason is logged once. After that, and before a first version was fetched, the
// error of Key is ErrUnavailable; so it is for an unknown key while the set cannot be fetched. To
// withdraw every key, serve a set without keys: {"keys":[]}.
type URLKeys struct {
	url       string     // in messages: that of the set, or of its issuer
	origin    *origin    // nil: discovery finds it
	discovery *discovery // nil: the URL is known
	timeout   time.Duration

	every    time.Duration
	maxStale time.Duration
	now      func() time.Time
	logger   atomic.Pointer[slog.Logger]
	parse    func([]byte) (*StaticKeys, []error, error)

	current atomic.Pointer[fetchedKeys] // never nil

	mu     sync.Mutex
	flight chan struct{} // is closed when the fetch ends that is under way; nil: none is
	tried  time.Time     // when the last one began
}

// fetchedKeys is what is known of a key set after a fetch. It never changes.
type fetchedKeys struct {
	keys *StaticKeys       // nil: there was never a good version
	sum  [sha256.Size]byte // of the text of that version
	etag string            // likewise
	from *origin           // likewise
	at   time.Time         // when it was the current one for certain
	due  time.Duration     // at what age it is fetched again
	err  error             // of the last fetch; nil: it was good
}

// URLKeysOptions are the options of a URLKeys. The zero value is fine.
type URLKeysOptions struct {
	// Addresses are special-use addresses (RFC 6890), such as those of private networks, from which
	// the set may be fetched. Those of the loopback interface need not be named for a URL whose
	// host is one of them, or localhost. None: only addresses of the Internet.
	Addresses []netip.Prefix

	// RootCAs are the certification authorities that vouch for the host; nil: those of the system.
	RootCAs *x509.CertPool

	Every    time.Duration    // how long a version is as good as new; 0 stands for 5 min
	MaxStale time.Duration    // how old the last good version may become; 0 stands for 24 h
	Now      func() time.Time // the clock; nil for time.Now
	Logger   *slog.Logger     // nil for slog.Default()
	SPIFFE   bool             // it is the bundle of a trust domain: see ParseBundle

	resolver *net.Resolver // of the tests; nil: that of the system
}

// fetchSpacing is the least time from one fetch to the next.
const fetchSpacing = 10 * time.Second

// NewURLKeys returns the keys at a URL, which must be https; http is for loopback hosts. It fetches
// nothing.
func NewURLKeys(uri string, o URLKeysOptions) (*URLKeys, error) {
	check := CheckJWKSURI
	if o.SPIFFE {
		check = CheckBundleURI
	}
	if err := check(uri); err != nil {
		return nil, err
	}
	u, err := url.Parse(uri)
	if err != nil {
		return nil, err
	}
	keys := newURLKeys(uri, o)
	keys.origin = newOrigin(uri, &o, IsLoopback(u.Hostname()))
	return keys, nil
}

func newURLKeys(name string, o URLKeysOptions) *URLKeys {
	u := &URLKeys{url: name, timeout: fetchTimeout, every: o.Every, maxStale: o.MaxStale, now: o.Now, parse: parser(o.SPIFFE)}
	if u.every <= 0 {
		u.every = 5 * time.Minute
	}
	if u.maxStale <= 0 {
		u.maxStale = 24 * time.Hour
	}
	if u.now == nil {
		u.now = time.Now
	}
	u.setLogger(o.Logger)
	u.current.Store(new(fetchedKeys))
	return u
}

func (u *URLKeys) setLogger(logger *slog.Logger) {
	if logger == nil {
		logger = slog.Default()
	}
	u.logger.Store(logger)
}

// Key implements KeySet. It may wait for a fetch, unless ctx ends before.
func (u *URLKeys) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	fetched, err := u.latest(ctx)
	if err != nil {
		return nil, err
	}
	key, err := fetched.keys.Key(ctx, kid, alg)
	if !errors.Is(err, ErrUnknownKey) {
		return key, err
	}
	unknown := err
	if fetched, err = u.await(ctx, true); err != nil {
		return nil, err
	}
	if key, err = fetched.keys.Key(ctx, kid, alg); err != nil {
		return nil, u.unknown(fetched, unknown)
	}
	return key, nil
}

// anyRSA is asked for a key that Key has not found, and fetches nothing that Key has not.
func (u *URLKeys) anyRSA(ctx context.Context, kid string) (crypto.PublicKey, error) {
	fetched, err := u.latest(ctx)
	if err != nil {
		return nil, err
	}
	return fetched.keys.anyRSA(ctx, kid)
}

func (u *URLKeys) holds(ctx context.Context, key crypto.PublicKey) (bool, error) {
	return u.has(ctx, func(keys *StaticKeys) bool { return keys.has(key) })
}

// HasKey reports whether there is a key with this kid: see [Ancestor].
func (u *URLKeys) HasKey(ctx context.Context, kid string) (bool, error) {
	return u.has(ctx, func(keys *StaticKeys) bool { return keys.hasID(kid) })
}

// has reports whether something is in the version that is known or, if it may be new, in the next.
func (u *URLKeys) has(ctx context.Context, found func(*StaticKeys) bool) (bool, error) {
	fetched, err := u.latest(ctx)
	if err != nil {
		return false, err
	}
	if found(fetched.keys) {
		return true, nil
	}
	if fetched, err = u.await(ctx, true); err != nil {
		return false, err
	}
	if found(fetched.keys) {
		return true, nil
	}
	return false, u.unknown(fetched, nil)
}

// unknown returns the error for a key that is not in the version that was fetched last: err, unless
// the fetch has failed, and the key may be new.
func (u *URLKeys) unknown(fetched *fetchedKeys, err error) error {
	if fetched.err != nil {
		return u.unavailable(fetched.err)
	}
	return err
}

// latest returns a version that may be used. One that is a little old, or cannot be replaced, is
// used while the next one is fetched; one that nobody has asked for in a while is not.
func (u *URLKeys) latest(ctx context.Context) (*fetchedKeys, error) {
	fetched := u.current.Load()
	age := u.age(fetched)
	switch {
	case fetched.keys == nil || age >= u.maxStale:
	case age < fetched.due:
		return fetched, nil
	case age < 2*u.every || fetched.err != nil:
		u.fetch(ctx, false)
		return fetched, nil
	}
	fetched, err := u.await(ctx, false)
	if err == nil && (fetched.keys == nil || u.age(fetched) >= u.maxStale) {
		err = u.unavailable(fetched.err)
	}
	return fetched, err
}

// age returns how long ago a version was the current one. After the clock was set back nobody
// knows: then it is due.
func (u *URLKeys) age(fetched *fetchedKeys) time.Duration {
	if age := u.now().Sub(fetched.at); age >= 0 {
		return age
	}
	return u.every
}

func (u *URLKeys) unavailable(cause error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, ShownURL(u.url), cause)
}

// await waits for a fetch, if there may be one now, and returns what is known after it. unknown
// says that it is for a key which is not in the version that is known.
func (u *URLKeys) await(ctx context.Context, unknown bool) (*fetchedKeys, error) {
	if done := u.fetch(ctx, unknown); done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return nil, u.unavailable(ctx.Err())
		}
	}
	return u.current.Load(), nil
}

// fetch begins a fetch, unless one is under way, and returns what is closed at its end. It returns
// nil if the last one was a moment ago.
func (u *URLKeys) fetch(ctx context.Context, unknown bool) <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.flight != nil {
		return u.flight
	}
	now := u.now()
	if since := now.Sub(u.tried); since >= 0 && since < fetchSpacing {
		return nil
	}
	u.tried = now
	done := make(chan struct{})
	u.flight = done
	ctx = context.WithoutCancel(ctx) // it goes on when who asked first has left: others wait too
	go func() {
		var fetched *fetchedKeys
		// What is fetched is foreign.
		if err := Contain(func() error {
			fetched = u.next(ctx, now, unknown)
			return nil
		}); err != nil {
			failed := *u.current.Load()
			failed.err = err
			fetched = &failed
		}
		u.current.Store(fetched)
		u.mu.Lock()
		defer u.mu.Unlock()
		u.flight = nil
		close(done)
	}()
	return done
}

// next returns what is known after a fetch that begins now.
func (u *URLKeys) next(ctx context.Context, now time.Time, unknown bool) (fetched *fetchedKeys) {
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	known := u.current.Load()
	from, err := u.locate(ctx, now, unknown, known)
	if err == nil {
		if fetched, err = u.get(ctx, from, known); err != nil && u.discovery != nil {
			err = fmt.Errorf("jwks_uri %s: %w", ShownURL(from.url), err)
		}
	}
	logger := u.logger.Load()
	if err != nil {
		if what := "a key set cannot be fetched; keeping the previous keys"; known.err == nil {
			if known.keys == nil {
				what = "a key set cannot be fetched; there are no keys yet, and tokens of its issuer cannot be checked"
			}
			logger.Error(what, "url", ShownURL(u.url), "error", err)
		}
		failed := *known
		failed.err = err
		return &failed
	}
	if known.err != nil {
		logger.Info("a key set can be fetched again", "url", ShownURL(u.url), "keys", fetched.keys.Len())
	}
	fetched.from, fetched.at = from, now
	// Not all processes fetch at once which have started at once.
	fetched.due = u.every/4*3 + rand.N(u.every/10+1) //nolint:gosec // G404: not a secret
	return fetched
}

// locate returns where the set is. What discovery has found may be wrong if nothing can be fetched
// from there, or if a key is not there; but whoever sends tokens chooses their kid.
func (u *URLKeys) locate(ctx context.Context, now time.Time, unknown bool, known *fetchedKeys) (*origin, error) {
	if u.discovery == nil {
		return u.origin, nil
	}
	maxAge := u.maxStale / 2
	switch {
	case known.err != nil:
		maxAge = 0
	case unknown:
		maxAge = min(maxAge, u.every)
	}
	ctx, cancel := context.WithTimeout(ctx, u.timeout/2) // the key set needs some, too
	defer cancel()
	return u.discovery.locate(ctx, now, maxAge, u.maxStale, u.logger.Load())
}

// get fetches the set. What has not changed is not parsed again, so that its keys keep their
// addresses.
func (u *URLKeys) get(ctx context.Context, from *origin, known *fetchedKeys) (*fetchedKeys, error) {
	etag := ""
	if from == known.from {
		etag = known.etag
	}
	d, err := from.fetch(ctx, etag)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(d.body)
	if known.keys != nil && (d.same || sum == known.sum) {
		return &fetchedKeys{keys: known.keys, sum: known.sum, etag: d.etag}, nil
	}
	keys, dropped, err := u.parse(d.body)
	if err != nil {
		return nil, err
	}
	for _, reason := range dropped {
		u.logger.Load().Warn("key left out of the key set", "url", ShownURL(from.url), "reason", reason)
	}
	return &fetchedKeys{keys: keys, sum: sum, etag: d.etag}, nil
}
