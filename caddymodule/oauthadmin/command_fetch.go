package oauthadmin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// tokenClient is the HTTP client of `caddy oauth token`. It follows no redirect, which would send
// credentials elsewhere.
var tokenClient = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// trustAuthorities has tokenClient trust the certificates of a file as well, as of an authority of
// one's own, such as Caddy's for local names.
func trustAuthorities(file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return misuse("--ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(text) {
		return misuse("--ca %s: there is no certificate in PEM in it", file)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	tokenClient.Transport = transport
	return nil
}

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 1 << 20

// discover returns the token endpoint from the metadata of an issuer (RFC 8414 §3), which must name
// the same issuer (§3.3).
func discover(ctx context.Context, issuer string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return "", fmt.Errorf("issuer: %w", err)
	}
	u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	var metadata struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
	}
	status, err := fetchJSON(request, &metadata)
	switch {
	case err != nil:
		return "", fmt.Errorf("metadata of the issuer: %w; use --url for the token endpoint", err)
	case status != http.StatusOK:
		return "", fmt.Errorf("metadata of the issuer: %s answers with status %d; is oauth_token served there? Else use --url for the token endpoint", u, status)
	case metadata.Issuer != issuer:
		return "", fmt.Errorf("metadata of the issuer: expected issuer %q, got %q (RFC 8414 section 3.3)", issuer, metadata.Issuer)
	case metadata.TokenEndpoint == "":
		return "", errors.New("metadata of the issuer: token_endpoint is missing")
	}
	return metadata.TokenEndpoint, nil
}

// tokenRequest is a request to a token endpoint (RFC 6749 §3.2).
type tokenRequest struct {
	endpoint       string
	client, secret string // empty: no client authentication
	form           url.Values
}

// send returns the members of a successful answer (RFC 6749 §5.1), or the error of another (§5.2).
func (r *tokenRequest) send(ctx context.Context) (map[string]any, error) {
	if err := checkCredentialsURL(r.endpoint); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.endpoint, strings.NewReader(r.form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r.client != "" {
		// Form-encoded first, by RFC 6749 §2.3.1.
		request.SetBasicAuth(url.QueryEscape(r.client), url.QueryEscape(r.secret))
	}
	var answer map[string]any
	status, err := fetchJSON(request, &answer)
	switch code, _ := answer["error"].(string); {
	case err != nil:
		return nil, fmt.Errorf("token endpoint: %w", err)
	case status == http.StatusOK:
		return answer, nil
	case code == "":
		return nil, fmt.Errorf("the token endpoint answers with status %d", status)
	default:
		if description, _ := answer["error_description"].(string); description != "" {
			code += ": " + description
		}
		return nil, errors.New(code)
	}
}

// checkCredentialsURL returns an error unless credentials would be encrypted, or stay on this
// machine (RFC 6749 §3.2).
func checkCredentialsURL(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Errorf("token endpoint: %w", err)
	}
	if u.Scheme == "https" && u.Host != "" || u.Scheme == "http" && verify.IsLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("token endpoint %q: must be an https URL, or an http URL of this machine", endpoint)
}

// fetchJSON makes a request, and decodes the answer. An answer that is not JSON is an error only
// with status 200.
func fetchJSON(request *http.Request, into any) (status int, err error) {
	request.Header.Set("Accept", "application/json")
	client := *tokenClient
	if request.URL.Scheme == "http" { // it stays on this machine, whatever a name resolves to
		dialer := &net.Dialer{Control: verify.DialControl(nil, true)}
		client.Transport = &http.Transport{DialContext: dialer.DialContext}
	}
	response, err := client.Do(request)
	if err != nil {
		if failure, ok := errors.AsType[*url.Error](err); ok {
			err = fmt.Errorf("nobody answers at %s: %w", request.URL, failure.Err)
		}
		return 0, unreached{err}
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(into); err != nil && response.StatusCode == http.StatusOK {
		return 0, fmt.Errorf("the answer of %s is not JSON: %w", request.URL, err)
	}
	return response.StatusCode, nil
}
