package oauthadmin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// callAdmin makes a request to the admin API, for a resource of the server that the flags name. It
// decodes the answer into answer, unless that is nil.
func callAdmin(fl caddycmd.Flags, method string, segments []string, query url.Values, body, answer any) error {
	response, err := requestAdmin(fl, method, segments, query, body)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	return decodeAnswer(response, answer)
}

// decodeAnswer reads the JSON of an answer.
func decodeAnswer(response *http.Response, answer any) error {
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("reading the answer of the admin API: %w", err)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			return fmt.Errorf("the answer of the admin API is not the expected JSON: %w", err)
		}
	}
	return nil
}

// requestAdmin makes a request to the admin API, and returns the answer if it is a success. It
// escapes each segment of the path.
func requestAdmin(fl caddycmd.Flags, method string, segments []string, query url.Values, body any) (*http.Response, error) {
	uri := strings.TrimSuffix(basePath, "/")
	for _, segment := range append([]string{fl.String("server")}, segments...) {
		uri += "/" + escapeSegment(segment)
	}
	if len(query) > 0 {
		uri += "?" + query.Encode()
	}
	return requestURI(fl, method, uri, body)
}

// requestURI makes a request to a path of the admin API, likewise.
func requestURI(fl caddycmd.Flags, method, uri string, body any) (*http.Response, error) {
	address, err := caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
	if err != nil {
		return nil, misuse("--config %s: %w", fl.String("config"), err)
	}
	if _, hostless, found := strings.Cut(address, "://"); found {
		return nil, misuse("%q is no address of an admin API, which has no scheme: write %s", address, hostless)
	}
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	response, err := caddycmd.AdminAPIRequest(address, method, uri, http.Header{}, content)
	if err == nil {
		return response, nil
	}
	switch {
	case strings.HasPrefix(err.Error(), "making request: "):
		return nil, misuse("%q is no address of an admin API, such as localhost:2019 or unix//run/caddy.sock", address)
	case strings.HasPrefix(err.Error(), "performing request: "):
		return nil, unreached{fmt.Errorf("no Caddy answers at %s: %s; is it running? --address, --config or the variable CADDY_ADMIN says where its admin API is",
			address, performing.ReplaceAllString(err.Error(), ""))}
	}
	return nil, adminFailure(err)
}

// performing matches what an error of AdminAPIRequest has in front of the reason.
var performing = regexp.MustCompile(`^performing request: (\w+ "[^"]*": )?`)

// escapeSegment escapes a segment of a path, also one that would lead elsewhere (RFC 3986 §5.2.4).
func escapeSegment(segment string) string {
	if segment == "." || segment == ".." {
		return strings.ReplaceAll(segment, ".", "%2E")
	}
	return url.PathEscape(segment)
}

// errNotFound is what an error of the admin API with status 404 Is.
var errNotFound = errors.New("not found")

// notFound has the message of such an error.
type notFound struct{ error }

func (notFound) Is(target error) bool { return target == errNotFound }

// adminFailure returns the message of an error of AdminAPIRequest, which contains it in the JSON of
// the API, behind the status.
func adminFailure(err error) error {
	if before, _, ok := strings.Cut(err.Error(), `{"error":`); ok {
		var answer caddy.APIError
		if json.Unmarshal([]byte(err.Error()[len(before):]), &answer) == nil {
			if err = errors.New(answer.Message); strings.HasSuffix(before, " HTTP 404: ") {
				err = notFound{err}
			}
		}
	}
	return err
}

// listAll fetches all pages of a list. page fetches the page after an id, and returns the id for
// the next one, or "".
func listAll(page func(after string) (next string, err error)) error {
	for after := ""; ; {
		next, err := page(after)
		if err != nil || next == "" {
			return err
		}
		after = next
	}
}
