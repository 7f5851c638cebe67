package remote

import (
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// Connection says how requests are made.
type Connection struct {
	// How long a request may take, 100ms to 1m. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How many requests are made at once, 1 to 1024. Others wait for their turn, for as long as a
	// request may take; the addresses that they come from take turns. Default: 16.
	Requests int `json:"requests,omitempty"`

	// A file of certificates (PEM) of the authorities for https. Default: those of the system.
	CA string `json:"ca,omitempty"`
}

// ParseOption reads the line at d if it is an option of a connection, and says whether it is.
// Syntax:
//
//	timeout  <duration>
//	requests <count>
//	ca       <path>
func (c *Connection) ParseOption(d *caddyfile.Dispenser, option string) (known bool, err error) {
	switch option {
	case "timeout":
		return true, adapt.Duration(d, &c.Timeout, outbound.CheckTimeout)
	case "requests":
		return true, adapt.Count(d, &c.Requests)
	case "ca":
		return true, adapt.One(d, &c.CA)
	}
	return false, nil
}

// Options returns the options without those that are read from files.
func (c *Connection) Options() outbound.Options {
	return outbound.Options{Timeout: time.Duration(c.Timeout), Requests: c.Requests}
}

// Resolve returns the options. module is the name of it, for errors.
func (c *Connection) Resolve(module string) (o outbound.Options, err error) {
	o = c.Options()
	if c.CA != "" {
		o.Roots, err = ReadRoots(module+": ca", c.CA)
	}
	return o, err
}

// ReadRoots returns the certificates (PEM) of the authorities in a file, for a module that connects
// to another machine.
func ReadRoots(option, configured string) (*x509.CertPool, error) {
	path, err := adapt.Resolve(option, configured)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s %s: it has no certificate (PEM)", option, path)
	}
	return pool, nil
}
