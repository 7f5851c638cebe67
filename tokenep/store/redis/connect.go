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

// errURL shows no part of the URL: if that is malformed, a part of the password may be where a port
// or a path should be.
var errURL = errors.New("redis: malformed URL: expected redis://user:password@host:port/database, or rediss:// for TLS, " +
	"or unix://path/to/socket; a cluster has further nodes in ?addr=host:port; " +
	"other characters than letters and digits in the password must be percent-encoded")

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
			return nil, errors.New("redis: ca_file requires rediss://")
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

// trust sets the authorities that are trusted; nil means the system's. It does nothing without TLS.
func trust(c *tls.Config, authorities *x509.CertPool) {
	if c != nil {
		c.RootCAs = authorities
	}
}

// insecure reports whether the client does not verify certificates.
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

// settings keeps the options of the URL, and sets the others to fit the time-out of a verb.
func settings(c *redis.Options, timeout time.Duration) *redis.Options {
	c.PoolSize = cmp.Or(c.PoolSize, poolSize())
	c.DialTimeout = cmp.Or(c.DialTimeout, timeout)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, timeout)
	c.PoolTimeout = cmp.Or(c.PoolTimeout, timeout)
	c.ContextTimeoutEnabled = true
	c.MaxRetries, c.DialerRetries = -1, 1 // see once
	// No command is sent that a user with few rights may not be allowed.
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
	// Writes are not sent again, so no error leads to a reload of the cluster's state after a
	// fail-over.
	c.ClusterStateReloadInterval = 5 * time.Second
	c.DisableRoutingPolicies = true // each command has a key
	c.DisableIdentity, c.MaintNotificationsConfig = true, &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return c
}

func poolSize() int { return max(32, 10*runtime.GOMAXPROCS(0)) }
