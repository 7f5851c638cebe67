package verify_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 6750 §2.2: the form. The body reaches the upstream byte by byte.
func TestGuardFormToken(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	issuer := newIssuer()
	off := newFront(t, issuer, &verify.Guard{})
	on := newFront(t, issuer, &verify.Guard{FormToken: true})
	for _, c := range []struct {
		name                 string
		f                    front
		method, media, lines string
		body                 string
		status               int
		code                 string
	}{
		{"RFC 6750 §2.2 off by default", off, "POST", form, "", "access_token=TOKEN", 401, ""},
		{"off, header token", off, "POST", form, "Authorization: Bearer TOKEN\n", "access_token=x", 200, ""},
		{"RFC 6750 §2.2 on", on, "POST", form, "", "a=%20+b&access_token=TOKEN&c", 200, ""},
		{"RFC 6750 §2.2 media type with charset, in capitals", on, "POST", "Application/X-WWW-Form-urlencoded; charset=utf-8", "", "access_token=TOKEN", 200, ""},
		{"RFC 6750 §2.2 encoded name", on, "POST", form, "", "%61ccess_token=TOKEN", 200, ""},
		{"RFC 6750 §2.2 GET", on, "GET", form, "", "access_token=TOKEN", 401, ""},
		{"RFC 6750 §2.2 PUT", on, "PUT", form, "", "access_token=TOKEN", 401, ""},
		{"RFC 6750 §2.2 PATCH", on, "PATCH", form, "", "access_token=TOKEN", 401, ""},
		{"RFC 6750 §2.2 text", on, "POST", "text/plain", "", "access_token=TOKEN", 401, ""},
		{"RFC 6750 §2.2 JSON", on, "POST", "application/json", "", `{"access_token":"TOKEN"}`, 401, ""},
		{"RFC 6750 §2.2 multipart", on, "POST", "multipart/form-data; boundary=b", "",
			"--b\nContent-Disposition: form-data; name=access_token\n\nTOKEN\n--b--\n", 401, ""},
		{"RFC 6750 §2.2 multipart goes on", on, "POST", "multipart/form-data; boundary=b", "Authorization: Bearer TOKEN\n",
			"--b--", 200, ""},
		{"two media types", on, "POST", form, "Content-Type: text/plain\n", "access_token=TOKEN", 400, verify.InvalidRequest},
		{"content coding", on, "POST", form, "Content-Encoding: gzip\n", "access_token=TOKEN", 401, ""},
		{"RFC 9110 §8.4.1 identity is no coding", on, "POST", form, "Content-Encoding: Identity\n", "access_token=TOKEN", 200, ""},
		{"two tokens, identity", on, "POST", form, "Authorization: Bearer TOKEN\nContent-Encoding: identity\n", "access_token=other", 400, verify.InvalidRequest},
		{"header, form in a coding", on, "POST", form, "Authorization: Bearer TOKEN\nContent-Encoding: gzip\n", "x", 400, verify.InvalidRequest},
		{"header, form in two codings", on, "PUT", form, "Authorization: Bearer TOKEN\nContent-Encoding: identity, gzip\n", "x", 400, verify.InvalidRequest},
		{"header, text in a coding", on, "POST", "text/plain", "Authorization: Bearer TOKEN\nContent-Encoding: gzip\n", "x", 200, ""},
		{"off, header, form in a coding", off, "POST", form, "Authorization: Bearer TOKEN\nContent-Encoding: gzip\n", "x", 200, ""},
		{"two tokens, PUT", on, "PUT", form, "Authorization: Bearer TOKEN\n", "access_token=other", 400, verify.InvalidRequest},
		{"two tokens, PATCH", on, "PATCH", form, "Authorization: Bearer TOKEN\n", "access_token=other", 400, verify.InvalidRequest},
		{"two tokens, DELETE", on, "DELETE", form, "Authorization: Bearer TOKEN\n", "access_token=other", 400, verify.InvalidRequest},
		{"two tokens, GET", on, "GET", form, "Authorization: Bearer TOKEN\n", "access_token=other", 400, verify.InvalidRequest},
		{"header, PUT without token", on, "PUT", form, "Authorization: Bearer TOKEN\n", "a=b", 200, ""},
		{"two tokens, a type and more", on, "POST", form + ", x", "Authorization: Bearer TOKEN\n", "access_token=other", 400, verify.InvalidRequest},
		{"two tokens, a type and a word", on, "POST", form + " x", "Authorization: Bearer TOKEN\n", "access_token=other", 400, verify.InvalidRequest},
		{"two tokens, a type behind another", on, "POST", "text/plain, " + form, "Authorization: Bearer TOKEN\n", "access_token=other", 400, verify.InvalidRequest},
		{"a type and more is no form to take a token from", on, "POST", form + ", x", "", "access_token=TOKEN", 401, ""},
		{"two tokens, PHP: a dot", on, "POST", form, "Authorization: Bearer TOKEN\n", "access.token=other", 400, verify.InvalidRequest},
		{"two tokens, PHP: spaces", on, "POST", form, "Authorization: Bearer TOKEN\n", "+%20access_token=other", 400, verify.InvalidRequest},
		{"two tokens in one form, PHP", on, "POST", form, "", "access_token=TOKEN&access+token=other", 400, verify.InvalidRequest},
		{"PHP's name alone is none", on, "POST", form, "", "access.token=TOKEN", 401, ""},
		{"RFC 6750 §2 header and form", on, "POST", form, "Authorization: Bearer TOKEN\n", "access_token=TOKEN", 400, verify.InvalidRequest},
		{"header, form without token", on, "POST", form, "Authorization: Bearer TOKEN\n", "a=b", 200, ""},
		{"repeated", on, "POST", form, "", "access_token=TOKEN&access_token=TOKEN", 400, verify.InvalidRequest},
		{"semicolon", on, "POST", form, "", "a;access_token=TOKEN", 400, verify.InvalidRequest},
		{"RFC 6750 §2.2 not ASCII", on, "POST", form, "", "a=é&access_token=TOKEN", 400, verify.InvalidRequest},
		{"bad token", on, "POST", form, "", "access_token=junk", 401, verify.InvalidToken},
		{"no token", on, "POST", form, "", "a=b", 401, ""},
		{"empty form", on, "POST", form, "", "", 401, ""},
		{"just as large as may be", on, "POST", form, "Authorization: Bearer TOKEN\n", strings.Repeat("a", 64<<10), 200, ""},
		{"RFC 6750 §2.2 too large", on, "POST", form, "Authorization: Bearer TOKEN\n", strings.Repeat("a", 64<<10+1), 400, verify.InvalidRequest},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %t", c.name, chunked), func(t *testing.T) {
				body := strings.ReplaceAll(c.body, "TOKEN", issuer.Sign(nil))
				length := len(strings.ReplaceAll(body, "\n", "\r\n")) // as raw sends it
				framing, sent := "Content-Length: "+strconv.Itoa(length), body
				if chunked {
					framing, sent = "Transfer-Encoding: chunked", fmt.Sprintf("%x\n%s\n0\n\n", length, body)
					if body == "" {
						sent = "0\n\n"
					}
				}
				got := c.f.raw(t, c.method+" / HTTP/1.1\nHost: x\nContent-Type: "+c.media+"\n"+framing+"\n"+c.lines+"\n"+sent)
				if c.status != 200 {
					got.refused(t, c.status, c.code)
					return
				}
				if s := got.seen(t); s.Body != body {
					t.Errorf("upstream got %d bytes of %d", len(s.Body), len(body))
				}
			})
		}
	}
}

// limited is a body that another handler limits.
type limited struct {
	io.ReadCloser
	err error
}

func (l limited) Read([]byte) (int, error) { return 0, l.err }

// Whoever keeps a form from being read decides about the status.
func TestGuardUnreadableForm(t *testing.T) {
	guard := (&verify.Guard{Verifier: newIssuer().Verifier(), FormToken: true}).Handler(http.HandlerFunc(echo))
	failing := func(err error) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.WithContext(r.Context())
			r.Body = limited{r.Body, err}
			guard.ServeHTTP(w, r)
		})
	}
	for _, c := range []struct {
		name      string
		handler   http.Handler
		status    int
		challenge bool
	}{
		{"RFC 9110 §15.5.14 a limit of net/http", http.MaxBytesHandler(guard, 10), 413, false},
		{"a limit that is wrapped", failing(fmt.Errorf("limit: %w", &http.MaxBytesError{Limit: 10})), 413, false},
		{"an error of this package", failing(&verify.Error{Status: 429}), 429, false},
		{"any other error", failing(io.ErrUnexpectedEOF), 400, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := newTalk(t, newServer(t, c.handler))
			client.send(form + "Transfer-Encoding: chunked\n\n" + chunk("a=b&access_token=junk"))
			got := client.ends(c.status)
			if has := got.Header.Get("WWW-Authenticate") != ""; has != c.challenge {
				t.Errorf("challenge %q", got.Header.Get("WWW-Authenticate"))
			}
		})
	}
}
