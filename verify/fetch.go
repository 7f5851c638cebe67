package verify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// What a fetch may cost. The whole of it has fetchTimeout: names, connection, TLS and answer.
const (
	fetchTimeout   = 5 * time.Second
	maxFetched     = 1 << 20  // bytes of a body
	maxFetchedHead = 64 << 10 // bytes of a header
)

var (
	errSpecialUse = errors.New("a special-use address (RFC 6890), from which nothing is fetched unless it is named")
	errTooLarge   = fmt.Errorf("the answer is larger than %d bytes", maxFetched)
)

// CheckJWKSURI returns what is wrong with the URL of a key set: it must be https, or http on a
// loopback host (RFC 8414 §2, RFC 7591 §2).
func CheckJWKSURI(uri string) error { return checkURL("jwks_uri", uri) }

// checkURL returns what is wrong with a URL that something is fetched from.
func checkURL(what, uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return fmt.Errorf("%s %q: it is no URL", what, ShownURL(uri))
	case u.Hostname() == "" || u.User != nil || strings.ContainsFunc(uri, func(c rune) bool { return c <= ' ' || c > '~' || c == '#' }):
		return fmt.Errorf("%s %q: it must be an absolute URL without user name and fragment, such as https://idp.example.com/jwks", what, ShownURL(uri))
	case u.Scheme != "https" && (u.Scheme != "http" || !IsLoopback(u.Hostname())):
		return fmt.Errorf("%s %q: the scheme must be https; http is for loopback hosts only", what, ShownURL(uri))
	}
	return nil
}

// ShownURL returns a URL as it may be shown: in the place of user name, password, query and
// fragment, which may be secrets, is an ellipsis. Nothing that stands before an "@" is shown,
// wherever that is, but http:// or https://. Of what is no URL, where nobody knows what is what,
// there is the ellipsis alone.
func ShownURL(text string) string {
	u, err := url.Parse(braces.ReplaceAllString(text, "1"))
	if err != nil {
		return "…"
	}
	at, end := strings.LastIndexByte(text, '@'), strings.IndexAny(text, "?#")
	front := ""
	if at >= 0 {
		scheme, _, absolute := strings.Cut(text, "://")
		if !absolute || u.Host == "" || !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
			return "…"
		}
		front = scheme + "://…"
	}
	switch {
	case end < 0:
		return front + text[max(at, 0):]
	case end < at:
		return front
	}
	return front + text[max(at, 0):end+1] + "…"
}

// braces matches placeholders of a configuration.
var braces = regexp.MustCompile(`\{[^{}]*\}`)

// origin is where a document is fetched from. Nothing but its URL decides which connection is made:
// redirects are not followed, proxies are not used, and the address is judged after the name was
// resolved, when the connection is made, so that no name can stand for another address by then.
type origin struct {
	url       string
	accept    string // media types
	transport *http.Transport
}

// newOrigin returns the origin of a good URL. Special-use addresses are refused but for those that
// are named in o, and those of the loopback interface if loopback says so.
func newOrigin(uri string, o *URLKeysOptions, loopback bool) *origin {
	dialer := &net.Dialer{Resolver: o.resolver, Control: DialControl(o.Addresses, loopback)}
	return &origin{url: uri, accept: "application/jwk-set+json, application/json", transport: &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true, // the next fetch is minutes away
		DisableCompression:     true, // the limit is that of what was sent
		MaxResponseHeaderBytes: maxFetchedHead,
	}}
}

// document is what was fetched.
type document struct {
	body []byte
	etag string
	same bool // as the one whose etag was sent; there is no body then
}

// statusError is the status of an answer that has no document.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("the answer has status %d", int(s)) }

// fetch gets the document. etag is that of the document which is known, if any (RFC 9110 §13.1.2).
func (o *origin) fetch(ctx context.Context, etag string) (d document, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url, http.NoBody)
	if err != nil {
		return d, err
	}
	request.Header.Set("Accept", o.accept) // RFC 7517 §8.5.2
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	answer, err := o.transport.RoundTrip(request) // which follows no redirect
	if err != nil {
		return d, err
	}
	defer func() { _ = answer.Body.Close() }()
	switch {
	case answer.StatusCode == http.StatusNotModified && etag != "":
		return document{etag: etag, same: true}, nil
	case answer.StatusCode != http.StatusOK:
		return d, statusError(answer.StatusCode)
	}
	d.etag = answer.Header.Get("ETag")
	d.body, err = io.ReadAll(io.LimitReader(answer.Body, maxFetched+1))
	if err == nil && len(d.body) > maxFetched {
		err = errTooLarge
	}
	return d, err
}
