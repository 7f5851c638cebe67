package httpcheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// Check asks an application who a person is. No redirect is followed, no proxy is used, and cookies
// are dropped: what one login gets is no part of the next.
type Check struct {
	o      Options
	client *outbound.Client
}

// New returns a Check.
func New(o Options) (*Check, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.complete()
	return &Check{o: o, client: outbound.New(o.connection())}, nil
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
func (c *Check) Close() { c.client.Close() }

// Authenticate is that of a tokenep.UserSource.
func (c *Check) Authenticate(ctx context.Context, name, password string) (user tokenep.User, err error) {
	if c.o.Send == Basic && strings.Contains(name, ":") { // RFC 7617 §2
		return user, fmt.Errorf("%w: a name with a colon", tokenep.ErrNoUser)
	}
	body, contentType := c.body(name, password)
	err = c.client.Do(ctx, func(ctx context.Context) (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, c.o.Method, c.o.URL, body)
		if err != nil {
			return nil, err
		}
		outbound.SetFields(r, c.o.Header)
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		if c.o.Send == Basic {
			r.SetBasicAuth(name, password)
		}
		return r, nil
	}, func(a *outbound.Answer) error {
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

// judge says who the answer is about, or that it is no.
func (c *Check) judge(a *outbound.Answer, name string) (tokenep.User, error) {
	yes, err := a.Means(c.o.Yes, c.o.No)
	switch {
	case err != nil:
		return tokenep.User{}, err
	case !yes:
		return tokenep.User{}, fmt.Errorf("%w: the answer has status %d", tokenep.ErrNoUser, a.StatusCode)
	case c.o.SubjectAsTyped:
		return c.user(a, name)
	}
	value, err := a.Member(c.o.Subject)
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
func (c *Check) user(a *outbound.Answer, subject string) (tokenep.User, error) {
	if len(c.o.Claims) == 0 {
		return tokenep.User{Subject: subject}, nil
	}
	if _, err := a.Object(); err != nil {
		return tokenep.User{}, err
	}
	claims := c.o.Claims.Read(func(from string) any {
		value, _ := a.Member(from)
		return claim(value)
	})
	return tokenep.User{Subject: subject, Claims: claims}, nil
}

// Find is that of a tokenep.UserSource.
func (c *Check) Find(ctx context.Context, sub string) (user tokenep.User, err error) {
	if strings.Trim(sub, ".") == "" { // it would be another folder
		return user, errors.New("nobody can be asked for by dots alone")
	}
	place := strings.Replace(c.o.Find, SubjectPlace, escape(c.o.Find, sub), 1)
	err = c.client.Do(ctx, func(ctx context.Context) (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, place, http.NoBody)
		if err == nil {
			outbound.SetFields(r, c.o.Header)
		}
		return r, err
	}, func(a *outbound.Answer) error {
		gone, err := a.Matches(c.o.Gone)
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
