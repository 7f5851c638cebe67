package httpcheck

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Check asks an application who a person is. No redirect is followed, no proxy is used, and cookies
// are dropped: what one login gets is no part of the next.
type Check struct {
	o         Options
	transport *http.Transport
	slots     chan struct{}
}

// New returns a Check.
func New(o Options) (*Check, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.complete()
	dialer := &net.Dialer{Timeout: o.Timeout}
	return &Check{o: o, slots: make(chan struct{}, o.Requests), transport: &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // the limit is that of what was sent
		MaxResponseHeaderBytes: maxAnswer,
		MaxConnsPerHost:        o.Requests,
		MaxIdleConnsPerHost:    o.Requests,
		IdleConnTimeout:        30 * time.Second,
	}}, nil
}

// Source returns the check as a source of users.
func (c *Check) Source() *tokenep.UserSource {
	s := &tokenep.UserSource{Authenticate: c.Authenticate, Turns: tokenep.NewQueue(c.o.Requests)}
	if c.o.Find != "" {
		s.Find, s.Recheck = c.Find, c.o.Recheck
	}
	return s
}

// Close closes connections that wait for another request.
func (c *Check) Close() { c.transport.CloseIdleConnections() }

// Authenticate is that of a tokenep.UserSource.
func (c *Check) Authenticate(ctx context.Context, name, password string) (user tokenep.User, err error) {
	if c.o.Send == Basic && strings.Contains(name, ":") { // RFC 7617 §2
		return user, fmt.Errorf("%w: a name with a colon", tokenep.ErrNoUser)
	}
	body, contentType := c.body(name, password)
	err = c.do(ctx, func(ctx context.Context) (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, c.o.Method, c.o.URL, body)
		if err != nil {
			return nil, err
		}
		c.prepare(r)
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		if c.o.Send == Basic {
			r.SetBasicAuth(name, password)
		}
		return r, nil
	}, func(a *answer) error {
		user, err = c.judge(a, name)
		return err
	})
	return user, err
}

// body returns what is sent, and its media type.
func (c *Check) body(name, password string) (body io.Reader, contentType string) {
	switch c.o.Send {
	case JSON:
		// Two texts are always JSON.
		text, _ := json.Marshal(map[string]string{c.o.NameField: name, c.o.PasswordField: password})
		return bytes.NewReader(text), "application/json"
	case Form:
		form := url.Values{c.o.NameField: {name}, c.o.PasswordField: {password}}
		return strings.NewReader(form.Encode()), "application/x-www-form-urlencoded"
	}
	return http.NoBody, ""
}

// prepare sets the fields of every request.
func (c *Check) prepare(r *http.Request) {
	r.Header.Set("Accept", "application/json")
	for name, values := range c.o.Header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
}

// judge says who the answer is about, or that it is no.
func (c *Check) judge(a *answer, name string) (tokenep.User, error) {
	yes, yesErr := a.matches(c.o.Yes)
	no, noErr := a.matches(c.o.No)
	switch {
	case yes && no:
		return tokenep.User{}, errors.New("the answer means both yes and no")
	case no:
		return tokenep.User{}, fmt.Errorf("%w: the answer has status %d", tokenep.ErrNoUser, a.StatusCode)
	case !yes:
		return tokenep.User{}, errors.Join(fmt.Errorf("the answer has status %d, and means neither yes nor no", a.StatusCode), yesErr, noErr)
	case c.o.SubjectAsTyped:
		return c.user(a, name)
	}
	value, err := a.member(c.o.Subject)
	if err != nil {
		return tokenep.User{}, err
	}
	sub, err := subject(value)
	if err != nil {
		return tokenep.User{}, err
	}
	return c.user(a, sub)
}

// user returns the person, with the claims that the answer has.
func (c *Check) user(a *answer, subject string) (tokenep.User, error) {
	if len(c.o.Claims) == 0 {
		return tokenep.User{Subject: subject}, nil
	}
	if _, err := a.member(""); err != nil {
		return tokenep.User{}, err
	}
	claims := c.o.Claims.Read(func(from string) any { return claim(find(a.object, from)) })
	return tokenep.User{Subject: subject, Claims: claims}, nil
}

// Find is that of a tokenep.UserSource.
func (c *Check) Find(ctx context.Context, sub string) (user tokenep.User, err error) {
	if strings.Trim(sub, ".") == "" { // it would be another folder
		return user, errors.New("nobody can be asked for by dots alone")
	}
	place := strings.Replace(c.o.Find, SubjectPlace, escape(c.o.Find, sub), 1)
	err = c.do(ctx, func(ctx context.Context) (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, place, http.NoBody)
		if err == nil {
			c.prepare(r)
		}
		return r, err
	}, func(a *answer) error {
		gone, err := a.matches(c.o.Gone)
		switch {
		case gone:
			return fmt.Errorf("%w: the answer has status %d", tokenep.ErrNoUser, a.StatusCode)
		case err != nil:
			return err
		case a.StatusCode != http.StatusOK:
			return fmt.Errorf("the answer has status %d, and means neither yes nor no", a.StatusCode)
		}
		user, err = c.user(a, sub)
		return err
	})
	return user, err
}

// escape writes a subject for the place where it goes: a segment of the path, or the query.
func escape(in, subject string) string {
	if before, _, _ := strings.Cut(in, SubjectPlace); strings.Contains(before, "?") {
		return url.QueryEscape(subject)
	}
	return url.PathEscape(subject)
}

// do makes a request when there is room for one, and has its answer judged before all of it has
// taken too long. A longer answer than is needed is not read.
func (c *Check) do(ctx context.Context, ask func(context.Context) (*http.Request, error), judge func(*answer) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
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
	return judge(&answer{Response: response})
}
