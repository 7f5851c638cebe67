package tokenep_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 9112 §9.6: no endpoint waits for a body that it does not need. The answer is the last one of
// its connection.
func TestTransportDoesNotWait(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.WithEndpoint(tokenep.Endpoint{
		Name: "beta", Path: "/oauth/beta", Methods: []string{"POST"}, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
	}))
	const formType = " HTTP/1.1\nHost: x\nContent-Type: application/x-www-form-urlencoded\n"
	const length, chunked = "Content-Length: 300000\n\na=", "Transfer-Encoding: chunked\n\n"
	part := strings.Repeat("a", 1<<10)
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"a form that is too large", "POST " + tokenPath + formType + length + part, 413},
		{"a chunked form that is too large", "POST " + tokenPath + formType + chunked + "10001\n" + strings.Repeat(part, 64) + "a", 413},
		{"at another endpoint", "POST " + revokePath + formType + length + part, 413},
		{"RFC 9110 §10.1.1 Expect", "POST " + tokenPath + formType + "Expect: 100-continue\nContent-Length: 300000\n\n", 413},
		{"another type", "POST " + tokenPath + " HTTP/1.1\nHost: x\nContent-Type: text/plain\nContent-Length: 10\n\n", 400},
		{"another type, chunked", "POST " + tokenPath + " HTTP/1.1\nHost: x\n" + chunked, 400},
		{"compressed", "POST " + tokenPath + formType + "Content-Encoding: gzip\nContent-Length: 10\n\n", 400},
		{"malformed Basic credentials", "POST " + tokenPath + formType + "Authorization: Basic !!!\n" + chunked + "5\ngrant", 401},
		{"Basic credentials without a colon", "POST " + tokenPath + formType + "Authorization: Basic YWJj\nContent-Length: 1000\n\na=", 401},
		{"malformed Basic credentials at another endpoint", "POST " + revokePath + formType + "Authorization: Basic !!!\n" + chunked + "5\ntoken", 401},
		{"two Authorization headers", "POST " + tokenPath + formType + "Authorization: Basic YTpi\nAuthorization: Basic YTpi\n" + chunked + "5\ngrant", 400},
		{"two Authorization headers at another endpoint", "POST " + revokePath + formType + "Authorization: Basic YTpi\nAuthorization: Bearer x\nContent-Length: 1000\n\na=", 400},
		{"another method", "PUT " + tokenPath + formType + length + part, 405},
		{"OPTIONS", "OPTIONS " + tokenPath + formType + length + part, 204},
		{"no endpoint", "POST /oauth/nothing" + formType + length + part, 404},
		{"a body that the key set has no use for", "GET " + tokeneptest.JWKSPath + formType + length + part, 200},
		{"nor have the metadata", "GET /.well-known/oauth-authorization-server" + formType + chunked + "400\n" + part, 200},
		{"an endpoint of somebody else", "POST /oauth/beta" + formType + length + part, 200},
		{"a body that was sent", "POST " + tokenPath + formType + "Content-Length: 307200\n\n" + strings.Repeat(part, 300), 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tokeneptest.Converse(t, f.URL, c.request).LastAnswer(c.status)
		})
	}
}

// A connection stays if there is no body, or none is left: the next request on it is answered.
func TestTransportKeepsConnection(t *testing.T) {
	f := tokeneptest.New(t)
	const start = " HTTP/1.1\nHost: x\nContent-Type: application/x-www-form-urlencoded\n"
	sized := func(path, body string) string {
		return fmt.Sprintf("POST %s%sContent-Length: %d\n\n%s", path, start, len(body), body)
	}
	all := []struct {
		request string
		status  int
	}{
		{sized(tokenPath, "grant_type=client_credentials&client_id=billing&client_secret=wrong"), 401},
		{sized(tokenPath, "a"), 400},
		{sized(tokenPath, ""), 400},
		{sized(revokePath, "token=x"), 401},
		{sized(tokenPath, goodForm), 200},
		{fmt.Sprintf("POST %s%sTransfer-Encoding: chunked\n\n%x\n%s\n0\n\n", tokenPath, start, len(goodForm), goodForm), 200},
		{"POST " + tokenPath + start + "Transfer-Encoding: chunked\n\n3\na=b\n0\n\n", 400},
		{"GET /oauth/nothing" + start + "\n", 404},
		{"GET " + tokenPath + start + "\n", 405},
		{"GET " + tokeneptest.JWKSPath + start + "\n", 200},
		{sized(tokenPath, "x="+strings.Repeat("a", 64<<10-2)), 400},
	}
	var requests string
	for _, c := range all {
		requests += c.request
	}
	conversation := tokeneptest.Converse(t, f.URL, requests)
	for _, c := range all {
		conversation.Answer(c.status)
	}
}

// failing is a body that another handler limits.
type failing struct {
	io.ReadCloser
	err error
}

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Whoever keeps a body from being read decides about the status.
func TestTransportUnreadable(t *testing.T) {
	tooMany := tokenep.TemporarilyUnavailable.Describe("too many bodies")
	tooMany.Status, tooMany.RetryAfter = http.StatusTooManyRequests, time.Second
	for _, c := range []struct {
		name   string
		err    error
		status int
		code   tokenep.Code
	}{
		{"RFC 9110 §15.5.14 a limit of net/http", &http.MaxBytesError{Limit: 10}, 413, tokenep.InvalidRequest},
		{"a limit that is wrapped", fmt.Errorf("limit: %w", &http.MaxBytesError{Limit: 10}), 413, tokenep.InvalidRequest},
		{"an error of this package", tooMany, 429, tokenep.TemporarilyUnavailable},
		{"an error of package verify is none of these", &verify.Error{Status: 401}, 400, tokenep.InvalidRequest},
		{"the end", io.ErrUnexpectedEOF, 400, tokenep.InvalidRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := tokeneptest.New(t)
			endpoints := f.Handler
			f.URL, f.Handler = "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Body = failing{r.Body, c.err}
				endpoints.ServeHTTP(w, r)
			})
			f.Send(t, raw(goodForm)).Refused(t, c.status, c.code)
		})
	}
}
