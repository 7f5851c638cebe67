package oauthadmin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tokenClient is the HTTP client of `caddy oauth token`. A redirect would take credentials elsewhere, so it is not followed.
var tokenClient = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// discover returns the token endpoint of an issuer by its metadata (RFC 8414 §3), which has to name the same issuer (§3.3).
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
		return "", fmt.Errorf("metadata of the issuer: %w; --url says where the token endpoint is", err)
	case status != http.StatusOK:
		return "", fmt.Errorf("metadata of the issuer: %s answers with status %d; is oauth_token served there? --url says where the token endpoint is", u, status)
	case metadata.Issuer != issuer:
		return "", fmt.Errorf("metadata of the issuer: it is that of %q, not of %q (RFC 8414 section 3.3)", metadata.Issuer, issuer)
	case metadata.TokenEndpoint == "":
		return "", errors.New("metadata of the issuer: it names no token_endpoint")
	}
	return metadata.TokenEndpoint, nil
}

// tokenRequest is a request to a token endpoint (RFC 6749 §3.2).
type tokenRequest struct {
	endpoint       string
	client, secret string // empty: no client authentication
	form           url.Values
}

// send returns the members of a successful answer (RFC 6749 §5.1), and the error of any other (§5.2).
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
		request.SetBasicAuth(url.QueryEscape(r.client), url.QueryEscape(r.secret)) // RFC 6749 §2.3.1: form-encoded first
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

// checkCredentialsURL refuses to send credentials in the clear, other than to this machine (RFC 6749 §3.2).
func checkCredentialsURL(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Errorf("token endpoint: %w", err)
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme == "https" && u.Host != "" || u.Scheme == "http" && local {
		return nil
	}
	return fmt.Errorf("token endpoint %q: credentials are sent to https URLs, and to http URLs of this machine", endpoint)
}

// fetchJSON makes a request whose answer is JSON, whatever its status.
func fetchJSON(request *http.Request, into any) (status int, err error) {
	request.Header.Set("Accept", "application/json")
	response, err := tokenClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(into); err != nil && response.StatusCode == http.StatusOK {
		return 0, fmt.Errorf("%s answers with no JSON: %w", request.URL, err)
	}
	return response.StatusCode, nil
}
