package redis

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// errURL does not show the URL, nor any part of it: what is malformed may have
// a piece of the password where a port or a path should be.
var errURL = errors.New("redis: malformed URL: want redis://user:password@host:port/database, or rediss:// for TLS, " +
	"or unix://path/to/socket; a cluster has further nodes in ?addr=host:port; " +
	"a password with other than letters and digits is percent-encoded")

// connect returns a client for a URL; it makes no connection.
func connect(address string, timeout time.Duration) (redis.UniversalClient, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errURL
	}
	query := u.Query()
	var trusted *x509.CertPool
	if file := query.Get("ca_file"); file != "" {
		if u.Scheme != "rediss" {
			return nil, errors.New("redis: ca_file is for rediss://")
		}
		if trusted, err = authorities(file); err != nil {
			return nil, err
		}
		query.Del("ca_file")
		u.RawQuery = query.Encode()
		address = u.String()
	}
	if query.Has("addr") {
		c, err := redis.ParseClusterURL(address)
		if err != nil {
			return nil, errURL
		}
		trust(c.TLSConfig, trusted)
		return redis.NewClusterClient(clusterSettings(c, timeout)), nil
	}
	c, err := redis.ParseURL(address)
	if err != nil {
		return nil, errURL
	}
	trust(c.TLSConfig, trusted)
	return redis.NewClient(settings(c, timeout)), nil
}

func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("redis: ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("redis: ca_file: %s has no certificate in PEM", file)
	}
	return pool, nil
}

// trust does without a configuration, where there is no TLS, and leaves the
// system's authorities if there are no others.
func trust(c *tls.Config, authorities *x509.CertPool) {
	if c != nil {
		c.RootCAs = authorities
	}
}

// insecure reports whether a certificate would be taken without a look.
func insecure(client redis.UniversalClient) bool {
	var c *tls.Config
	switch client := client.(type) {
	case *redis.Client:
		c = client.Options().TLSConfig
	case *redis.ClusterClient:
		c = client.Options().TLSConfig
	}
	return c != nil && c.InsecureSkipVerify
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
