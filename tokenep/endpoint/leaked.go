package endpoint

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Leaked is where anybody tells of credentials that were found where they should not be: in a
// public repository, or in a log. Secret scanners find them by their prefixes and checksums. It is
// no endpoint of an RFC; what it does is RFC 7009 for who found a token and is nobody's client.
//
//	{"credentials": ["…", …]}   REQUIRED  1,000 at most, as JSON (RFC 8259)
//
// The answer is always 202 and empty, so that nobody learns which of them is good. Those that are
// live are revoked in the background.
type Leaked struct {
	Front *tokenep.Front
	Pace  *tokenep.Pace // of requests; nil: any

	// Report takes a credential that an address has sent, and decides later what it is. It returns
	// at once.
	Report func(credential string, from netip.Addr)
}

// The most that a request has.
const (
	maxLeaked      = 1000
	maxLeakedBytes = 512 << 10
)

// Endpoint returns the row of the table. Unless it is moved, its path follows that of the token
// endpoint.
func (e Leaked) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{Name: LeakedName, Path: "/oauth/token/leaked", Methods: []string{http.MethodPost}, Handler: e}
}

// ServeHTTP answers one request.
func (e Leaked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.Front.Page(w, r, LeakedName, func(w http.ResponseWriter, o *tokenep.Outcome) {
		credentials, err := e.read(w, r)
		if err != nil {
			o.Err = tokenep.WriteError(w, r, err)
			return
		}
		for _, c := range credentials {
			e.Report(c, e.Front.Address(r))
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusAccepted)
	})
}

// read reads the credentials of a request.
func (e Leaked) read(w http.ResponseWriter, r *http.Request) ([]string, error) {
	if err := e.Pace.Take(e.Front.Address(r)); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLeakedBytes))
	if err != nil {
		refusal := tokenep.InvalidRequest.Describe("the request body could not be read").Because(err)
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			refusal = tokenep.InvalidRequest.Describe("the request body is larger than 512 KiB").Because(err)
			refusal.Status = http.StatusRequestEntityTooLarge
		}
		return nil, refusal
	}
	var in struct {
		Credentials []string `json:"credentials"`
	}
	switch err := json.Unmarshal(body, &in); {
	case err != nil:
		return nil, tokenep.InvalidRequest.Describe("the body is not a JSON object with the list credentials")
	case len(in.Credentials) > maxLeaked:
		return nil, tokenep.InvalidRequest.Describe("at most 1000 credentials can be sent at once")
	}
	return in.Credentials, nil
}
