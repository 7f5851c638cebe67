package outbound

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Options say how requests are made.
type Options struct {
	Timeout  time.Duration  // of each request; default: DefaultTimeout
	Requests int            // at once; default: DefaultRequests
	Roots    *x509.CertPool // of the server's certificate; nil: those of the system

	// Control, if not nil, judges each address that a connection is made to, such as
	// verify.DialControl.
	Control func(network, address string, _ syscall.RawConn) error
}

// Defaults and bounds of Options.
const (
	DefaultTimeout  = 5 * time.Second
	MaxTimeout      = time.Minute
	DefaultRequests = 16
	MaxRequests     = 1024
)

// Complete fills in the defaults.
func (o *Options) Complete() {
	o.Timeout, o.Requests = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.Requests, DefaultRequests)
}

// Validate returns what is wrong with the options.
func (o Options) Validate() error {
	o.Complete()
	if o.Requests < 1 || o.Requests > MaxRequests {
		return fmt.Errorf("requests: the number must be 1 to %d; it is %d", MaxRequests, o.Requests)
	}
	if err := CheckTimeout(o.Timeout); err != nil {
		return fmt.Errorf("timeout: %w", err)
	}
	return nil
}

// CheckTimeout returns what is wrong with Options.Timeout.
func CheckTimeout(d time.Duration) error {
	if d < 100*time.Millisecond || d > MaxTimeout {
		return fmt.Errorf("it must be 100ms to %s; it is %s", MaxTimeout, d)
	}
	return nil
}

// Client makes requests.
type Client struct {
	timeout   time.Duration
	transport *http.Transport
	slots     chan struct{}
}

// New returns a Client with good options.
func New(o Options) *Client {
	o.Complete()
	dialer := &net.Dialer{Timeout: o.Timeout, Control: o.Control}
	return &Client{timeout: o.Timeout, slots: make(chan struct{}, o.Requests), transport: &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // the limit is that of what was sent
		MaxResponseHeaderBytes: MaxAnswer,
		MaxConnsPerHost:        o.Requests,
		MaxIdleConnsPerHost:    o.Requests,
		IdleConnTimeout:        30 * time.Second,
	}}
}

// Do makes a request when there is room for one, and has its answer judged before all of it has
// taken too long. A longer answer than is needed is not read.
func (c *Client) Do(ctx context.Context, ask func(context.Context) (*http.Request, error), judge func(*Answer) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	r, err := ask(ctx)
	if err != nil {
		return err
	}
	response, err := c.transport.RoundTrip(r) // which follows no redirect
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	return judge(&Answer{Response: response})
}

// Close closes connections that wait for another request.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// SetFields sets the fields of a request: what is configured, and what is wanted of the answer.
func SetFields(r *http.Request, header http.Header) {
	r.Header.Set("Accept", "application/json")
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
}
