package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// AskedOptions say which program knows the credentials of people at an application. It gets a POST
// with a JSON object of iss, sub and client_id of the token. Its answer is 200 with a JSON object
// that has the credential, or 404 where there is none.
type AskedOptions struct {
	URL    string
	Header http.Header   // further fields of each request
	Member string        // of the answer, with dots into objects; default: credential
	Good   time.Duration // for how long an answer is remembered, 1 s to 1 h; default: DefaultGood

	Form         Form // default: as it is
	InsecureHTTP bool // the URL may be http also where the host is not this machine
	Connection   outbound.Options
	Entries      int // that are remembered, at most; default: DefaultEntries
	Now          func() time.Time
}

// DefaultGood is how long an answer is remembered, and MaxGood how long it can be.
const (
	DefaultGood = time.Minute
	MaxGood     = time.Hour
)

// Validate returns what is wrong with the options.
func (o AskedOptions) Validate() error {
	if err := outbound.CheckURL("url", o.URL); err != nil {
		return err
	}
	if !o.InsecureHTTP {
		if err := outbound.CheckScheme("url", o.URL, "credentials"); err != nil {
			return err
		}
	}
	if o.Good != 0 {
		if err := CheckGood(o.Good); err != nil {
			return fmt.Errorf("cache: %w", err)
		}
	}
	if err := o.Connection.Validate(); err != nil {
		return err
	}
	return checkEntries(o.Entries)
}

// CheckGood returns what is wrong with AskedOptions.Good.
func CheckGood(d time.Duration) error {
	if d < time.Second || d > MaxGood {
		return fmt.Errorf("it must be 1s to %s; it is %s", MaxGood, d)
	}
	return nil
}

// Asked asks a program for the credentials of people.
type Asked struct {
	o      AskedOptions
	client *outbound.Client
	kept   *kept
}

// NewAsked returns an Asked.
func NewAsked(o AskedOptions) (*Asked, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Member == "" {
		o.Member = "credential"
	}
	if o.Good == 0 {
		o.Good = DefaultGood
	}
	return &Asked{o: o, client: outbound.New(o.Connection), kept: newKept(o.Entries, o.Form, o.Now)}, nil
}

// Close closes connections that wait for another request.
func (a *Asked) Close() { a.client.Close() }

var errNobody = errors.New("the token is about nobody: it has no sub")

// Credential finds the credential of whom a token is about, through whichever client.
func (a *Asked) Credential(logger *slog.Logger) Finder {
	return func(r *http.Request, t *verify.Token, _ string) (c verify.Credential, err error) {
		if t.Subject == "" {
			return c, none(errNobody)
		}
		if c, known := a.kept.recall(t, nil); known {
			return c, nil
		}
		return a.kept.get(r, t, nil, logger, outbound.KeyOf(t.Issuer, t.Subject, t.ClientID), func(ctx context.Context) (obtained, error) {
			until := a.kept.now().Add(a.o.Good)
			value, err := a.ask(ctx, t)
			if _, refused := errors.AsType[*verify.Error](err); err != nil && !refused {
				err = fmt.Errorf("%s: %w", verify.ShownURL(a.o.URL), err)
			}
			return obtained{value, until, NewID(), []slog.Attr{from(verify.ShownURL(a.o.URL))}}, err
		})
	}
}

func (a *Asked) ask(ctx context.Context, t *verify.Token) (value string, err error) {
	body, err := json.Marshal(map[string]string{"iss": t.Issuer, "sub": t.Subject, "client_id": t.ClientID})
	if err != nil {
		return "", err
	}
	err = a.client.Do(ctx, func(ctx context.Context) (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.o.URL, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		outbound.SetFields(r, a.o.Header)
		r.Header.Set("Content-Type", "application/json")
		return r, nil
	}, func(answer *outbound.Answer) error {
		switch answer.StatusCode {
		case http.StatusOK:
		case http.StatusNotFound:
			return none(errors.New("the program that knows them has none for this person"))
		default:
			return unavailable(fmt.Errorf("%s answers with status %d", verify.ShownURL(a.o.URL), answer.StatusCode))
		}
		member, err := answer.Member(a.o.Member)
		if err != nil {
			return senseless(fmt.Errorf("%s: %w", verify.ShownURL(a.o.URL), err))
		}
		if value, _ = member.(string); value == "" {
			return senseless(fmt.Errorf("%s: the answer has no text %q", verify.ShownURL(a.o.URL), a.o.Member))
		}
		return nil
	})
	return value, err
}
