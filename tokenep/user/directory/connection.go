package directory

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// maxRead bounds what one connection may bring, in bytes: an entry or two, and the groups.
const maxRead = 1 << 20

const secured = "ldaps" // the scheme

var errTooLong = fmt.Errorf("the directory has sent more than %d bytes", maxRead)

// limited is a connection that ends with its context, and after maxRead bytes.
type limited struct {
	net.Conn
	left int
}

// Read implements net.Conn.
func (c *limited) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLong
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// connect returns an encrypted connection to the first server that can be reached. close must be
// called. Connections are not kept: a sign-in takes a password hash on the other side, beside which
// a handshake is nothing, and what is not kept can be neither stale nor bound as somebody else.
func (d *Directory) connect(ctx context.Context) (conn *ldap.Conn, end func(), err error) {
	var failures []error
	for i, text := range d.o.URLs {
		share := time.Until(deadline(ctx)) / time.Duration(len(d.o.URLs)-i)
		conn, end, err := d.connectTo(ctx, text, share)
		if err == nil {
			return conn, end, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", text, err))
	}
	return nil, nil, errors.Join(failures...)
}

func deadline(ctx context.Context) time.Time {
	at, _ := ctx.Deadline() // do has set it
	return at
}

// connectTo connects to one server, in a share of the time.
func (d *Directory) connectTo(ctx context.Context, text string, share time.Duration) (conn *ldap.Conn, end func(), err error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, nil, err
	}
	port := "389"
	if u.Scheme == secured {
		port = "636"
	}
	address := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
	dialing, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(dialing, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	_ = raw.SetDeadline(deadline(dialing))
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	hangUp := func() {
		stop()
		_ = raw.Close() // no answer is waited for
	}
	conn, err = d.secure(dialing, &limited{raw, maxRead}, u)
	if err != nil {
		hangUp()
		return nil, nil, err
	}
	_ = raw.SetDeadline(deadline(ctx))
	if ctx.Err() != nil { // meanwhile
		_ = raw.SetDeadline(time.Unix(1, 0))
	}
	return conn, func() {
		hangUp()
		_ = conn.Close()
	}, nil
}

// secure encrypts a connection.
func (d *Directory) secure(ctx context.Context, raw net.Conn, u *url.URL) (*ldap.Conn, error) {
	config := &tls.Config{RootCAs: d.o.Roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	if u.Scheme == secured {
		inner := tls.Client(raw, config)
		if err := inner.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn := ldap.NewConn(inner, true)
		conn.Start()
		return conn, nil
	}
	conn := ldap.NewConn(raw, false)
	conn.Start()
	if d.o.InsecurePlain {
		return conn, nil
	}
	if err := conn.StartTLS(config); err != nil {
		_ = raw.Close()
		_ = conn.Close()
		return nil, fmt.Errorf("StartTLS: %w", err)
	}
	return conn, nil
}
