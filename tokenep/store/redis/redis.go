package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/internal/engine"
)

// What go-redis would write to the standard error is told by the errors of the
// verbs, once for each and not for each connection.
func init() { logging.Disable() }

// Options are the settings of a Store; the zero value is usable.
type Options struct {
	// Namespace keeps the records of one server from those of others in the
	// same database; "" means "default". It is 64 bytes at most, and has no braces.
	Namespace string

	// Timeout bounds each verb, with all that it waits for; 0 means 3 seconds.
	Timeout time.Duration
}

// A Store is a store.Store in Redis. Make one with Open.
type Store struct {
	client    redis.UniversalClient
	namespace string
	line      *engine.Line
}

var _ store.Store = (*Store)(nil)

// errURL does not show the URL, nor any part of it: what is malformed may have
// a piece of the password where a port or a path should be.
var errURL = errors.New("redis: malformed URL: want redis://user:password@host:port/database, or rediss:// for TLS, " +
	"or unix://path/to/socket; a cluster has further nodes in ?addr=host:port; " +
	"a password with other than letters and digits is percent-encoded")

// Open returns the store at a URL as go-redis reads it, and makes no connection
// before the first verb needs one: while Redis is away the verbs, and not Open,
// return store.ErrUnavailable. It fails if the URL or the options are wrong. No
// error shows the URL.
//
// The settings of go-redis may be parameters of the URL, such as pool_size. A
// URL with a parameter addr, which may be repeated, is that of a cluster.
func Open(_ context.Context, address string, o Options) (*Store, error) {
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	if len(o.Namespace) > 64 || strings.ContainsAny(o.Namespace, "{}") {
		return nil, fmt.Errorf("redis: namespace %q is longer than 64 bytes or has braces", o.Namespace)
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errURL
	}
	s := &Store{
		namespace: o.Namespace,
		line:      &engine.Line{Name: "redis", Timeout: o.Timeout, Answer: answer},
	}
	if u.Query().Has("addr") {
		c, err := redis.ParseClusterURL(address)
		if err != nil {
			return nil, errURL
		}
		s.client = redis.NewClusterClient(clusterSettings(c, o.Timeout))
		return s, nil
	}
	c, err := redis.ParseURL(address)
	if err != nil {
		return nil, errURL
	}
	s.client = redis.NewClient(settings(c, o.Timeout))
	return s, nil
}

// settings keeps what the URL says, and fits the rest to the time-out of a verb.
func settings(c *redis.Options, timeout time.Duration) *redis.Options {
	c.PoolSize = cmp.Or(c.PoolSize, poolSize())
	c.DialTimeout = cmp.Or(c.DialTimeout, timeout)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, timeout)
	c.PoolTimeout = cmp.Or(c.PoolTimeout, timeout)
	c.ContextTimeoutEnabled = true
	c.MaxRetries, c.DialerRetries = -1, 1 // see once
	// Nothing is asked for that a user of few rights might not be allowed.
	c.DisableIdentity, c.MaintNotificationsConfig = true, &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return c
}

func clusterSettings(c *redis.ClusterOptions, timeout time.Duration) *redis.ClusterOptions {
	c.PoolSize = cmp.Or(c.PoolSize, poolSize())
	c.DialTimeout = cmp.Or(c.DialTimeout, timeout)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, timeout)
	c.PoolTimeout = cmp.Or(c.PoolTimeout, timeout)
	c.ContextTimeoutEnabled = true
	c.MaxRetries, c.DialerRetries = -1, 1
	// Writes are not sent again, so that no failure tells of a fail-over.
	c.ClusterStateReloadInterval = 5 * time.Second
	c.DisableRoutingPolicies = true // each command has a key
	c.DisableIdentity, c.MaintNotificationsConfig = true, &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return c
}

func poolSize() int { return max(32, 10*runtime.GOMAXPROCS(0)) }

// Close ends the connections. Every later verb returns store.ErrUnavailable.
func (s *Store) Close() error {
	if err := s.client.Close(); !errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}

// answer reports whether Redis has sent an error.
func answer(err error) bool {
	var sent redis.Error
	return errors.As(err, &sent)
}
