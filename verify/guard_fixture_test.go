package verify_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// noon is the time at which the tests take place.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newIssuer() *verifytest.Issuer {
	issuer := verifytest.New("https://issuer.example", "https://api.example")
	issuer.Now = func() time.Time { return noon }
	return issuer
}

// seen is a request as the upstream got it.
type seen struct {
	Method, URI, Body string
	Header, Trailer   http.Header
}

// front is a guard before a reverse proxy before an upstream that answers with the request it got.
type front struct {
	*httptest.Server
	issuer *verifytest.Issuer
}

func newFront(tb testing.TB, issuer *verifytest.Issuer, g *verify.Guard) front {
	tb.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(echo))
	tb.Cleanup(upstream.Close)
	target, err := url.Parse(upstream.URL)
	if err != nil {
		tb.Fatal(err)
	}
	if g.Verifier == nil {
		g.Verifier = issuer.Verifier()
	}
	if err := g.Validate(); err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(g.Handler(httputil.NewSingleHostReverseProxy(target)))
	tb.Cleanup(server.Close)
	return front{server, issuer}
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=60")
	_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, string(body), r.Header, r.Trailer})
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func (a answer) seen(tb testing.TB) seen {
	tb.Helper()
	var s seen
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		tb.Fatalf("the upstream did not answer: %d %q", a.StatusCode, a.body)
	}
	return s
}

// raw sends a request byte for byte, with CR LF for each line feed, and for TOKEN a good token with
// the scope "read".
func (f front) raw(tb testing.TB, request string) answer {
	tb.Helper()
	request = strings.ReplaceAll(request, "TOKEN", f.issuer.Sign(verifytest.Claims{"scope": "read"}))
	return rawTo(tb, f.Listener.Addr().String(), strings.ReplaceAll(request, "\n", "\r\n"))
}

func rawTo(tb testing.TB, address, request string) answer {
	tb.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		tb.Fatal(err)
	}
	return readAnswer(tb, bufio.NewReader(conn))
}

func readAnswer(tb testing.TB, r *bufio.Reader) answer {
	tb.Helper()
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		tb.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer{response, string(body)}
}

// refused checks the status and the challenge; code "" stands for a challenge without error.
func (a answer) refused(tb testing.TB, status int, code string) {
	tb.Helper()
	if a.StatusCode != status {
		tb.Fatalf("status %d, want %d; %s", a.StatusCode, status, a.body)
	}
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		tb.Errorf("Cache-Control %q", got)
	}
	challenge := a.Header.Values("WWW-Authenticate")
	if len(challenge) != 1 || !strings.HasPrefix(challenge[0], "Bearer realm=") {
		tb.Fatalf("challenge %q", challenge)
	}
	if has := strings.Contains(challenge[0], "error="); has != (code != "") || !strings.Contains(challenge[0], code) {
		tb.Errorf("challenge %q, want error %q", challenge[0], code)
	}
}
