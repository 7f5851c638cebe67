package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxJWKSURI bounds what a document names.
const maxJWKSURI = 2048 // bytes

var errNoMetadata = errors.New("no metadata at any of the well-known URLs; name the URL of the document")

// CheckDiscovery returns why the metadata of an issuer cannot be found by its identifier, which
// must be https, or http on a loopback host, without a query (RFC 8414 §2).
func CheckDiscovery(issuer string) error {
	_, err := wellKnown(issuer)
	return err
}

// CheckDiscoveryURL returns what is wrong with the URL of a metadata document.
func CheckDiscoveryURL(uri string) error { return checkURL("discovery", uri) }

// wellKnown returns the URLs at which the metadata of an issuer may be: that of OpenID Connect
// Discovery 1.0 §4.1, where the path of the issuer comes first, and that of RFC 8414 §3.1.
func wellKnown(issuer string) ([]string, error) {
	if err := checkURL("discovery", issuer); err != nil {
		return nil, err
	}
	if strings.Contains(issuer, "?") {
		return nil, fmt.Errorf("discovery %q: it must be without a query (RFC 8414 §2)", issuer)
	}
	name := strings.TrimSuffix(issuer, "/")
	host := len(name)
	start := strings.Index(name, "://") + len("://")
	if i := strings.IndexByte(name[start:], '/'); i >= 0 {
		host = start + i
	}
	return []string{
		name + "/.well-known/openid-configuration",
		name[:host] + "/.well-known/oauth-authorization-server" + name[host:],
	}, nil
}

// discovery finds the key set of an issuer by its metadata. Only a fetch of a URLKeys uses it, and
// there is one at a time.
type discovery struct {
	issuer    string
	documents []*origin      // where the metadata may be; the first that is there counts
	loopback  bool           // it is on this machine, so its key set may be
	options   URLKeysOptions // for the key set

	from *origin   // of the document that is known
	etag string    // of the same
	keys *origin   // what it names; nil: there was never a good one
	at   time.Time // when it was the current one for certain
	err  error     // of the last fetch; nil: it was good
}

// NewDiscoveredKeys returns the keys of an issuer, at the jwks_uri of its metadata. document is the
// URL of that; if it is empty, the well-known ones are tried (OpenID Connect Discovery 1.0 §4.1,
// RFC 8414 §3.1). The issuer in it must be this one, byte for byte (RFC 8414 §3.3).
//
// It is fetched as the keys are, in the same five seconds, of which it has half. It is fetched
// again after half of MaxStale, before every fetch of the keys while these cannot be fetched, and
// for a key that is not known if it is older than Every. While it is not good, the last jwks_uri
// stays in use for MaxStale.
//
// The host of jwks_uri may be another one. It is a loopback host only if that of the document is.
func NewDiscoveredKeys(issuer, document string, o URLKeysOptions) (*URLKeys, error) {
	var documents []string
	var err error
	if document == "" {
		documents, err = wellKnown(issuer)
	} else {
		documents, err = []string{document}, CheckDiscoveryURL(document)
	}
	if err != nil {
		return nil, err
	}
	d := &discovery{issuer: issuer, options: o}
	for _, uri := range documents {
		u, err := url.Parse(uri)
		if err != nil {
			return nil, err
		}
		d.loopback = IsLoopback(u.Hostname())
		from := newOrigin(uri, &o, d.loopback)
		from.accept = "application/json"
		d.documents = append(d.documents, from)
	}
	keys := newURLKeys(issuer, o)
	keys.discovery = d
	return keys, nil
}

// locate returns where the key set is, by a document that is no older than maxAge if one can be
// fetched, and by one that is younger than maxStale otherwise.
func (d *discovery) locate(ctx context.Context, now time.Time, maxAge, maxStale time.Duration, logger *slog.Logger) (*origin, error) {
	age := now.Sub(d.at)
	if d.keys != nil && age >= 0 && age < maxAge {
		return d.keys, nil
	}
	err := d.fetch(ctx)
	switch {
	case err == nil:
		d.at = now
		if d.err != nil {
			logger.Info("the metadata of an issuer is good again", "issuer", d.issuer, "jwks_uri", ShownURL(d.keys.url))
		}
	case d.keys == nil || age >= maxStale:
		d.err = err
		return nil, err
	case d.err == nil:
		logger.Error("the metadata of an issuer cannot be used; keeping its previous jwks_uri", "issuer", d.issuer,
			"jwks_uri", ShownURL(d.keys.url), "error", err)
	}
	d.err = err
	return d.keys, nil
}

// fetch gets the document from the first place where there is one.
func (d *discovery) fetch(ctx context.Context) error {
	err := errNoMetadata
	for _, from := range d.documents {
		etag := ""
		if from == d.from {
			etag = d.etag
		}
		var answer document
		answer, err = from.fetch(ctx, etag)
		if status, ok := errors.AsType[statusError](err); ok && status == http.StatusNotFound && len(d.documents) > 1 {
			err = errNoMetadata
			continue
		}
		if err == nil && !answer.same {
			err = d.read(answer.body)
		}
		if err != nil {
			return fmt.Errorf("metadata %s: %w", ShownURL(from.url), err)
		}
		d.from, d.etag = from, answer.etag
		return nil
	}
	return err
}

// read takes the jwks_uri of a document.
func (d *discovery) read(text []byte) error {
	members, err := parseObjectOf(strings.TrimPrefix(string(text), "\ufeff"), maxKeyValues)
	if err != nil {
		return err
	}
	if issuer, _ := members["issuer"].(string); issuer != d.issuer {
		return fmt.Errorf("it is that of another issuer: %.200q, not %q (RFC 8414 §3.3)", issuer, d.issuer)
	}
	uri, ok := members["jwks_uri"].(string)
	if !ok || len(uri) > maxJWKSURI {
		return fmt.Errorf("it has no jwks_uri of at most %d bytes", maxJWKSURI)
	}
	if err := CheckJWKSURI(uri); err != nil {
		return err
	}
	if d.keys != nil && d.keys.url == uri {
		return nil
	}
	u, err := url.Parse(uri)
	if err != nil {
		return err
	}
	d.keys = newOrigin(uri, &d.options, d.loopback && IsLoopback(u.Hostname()))
	return nil
}
