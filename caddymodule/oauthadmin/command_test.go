package oauthadmin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// Each command says what it does, and shows how.
func TestCommandHelp(t *testing.T) {
	registered := oauthCommand()
	root := &cobra.Command{Use: registered.Name, Short: registered.Short, Long: registered.Long}
	registered.CobraFunc(root)
	var check func(*cobra.Command)
	check = func(cmd *cobra.Command) {
		switch {
		case cmd.Short == "" || cmd.Long == "":
			t.Errorf("%s: no help", cmd.CommandPath())
		case !cmd.HasSubCommands() && !strings.Contains(cmd.Example, "caddy "+strings.TrimPrefix(cmd.CommandPath(), "caddy ")):
			t.Errorf("%s: no example of its own: %q", cmd.CommandPath(), cmd.Example)
		}
		for line := range strings.SplitSeq(cmd.Long+"\n"+cmd.Example, "\n") {
			if len(line) > 110 {
				t.Errorf("%s: a line of %d characters: %s", cmd.CommandPath(), len(line), line)
			}
		}
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	check(root)
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("a", maxSecretLine)
	for _, c := range []struct{ in, want string }{
		{"secret\n", "secret"},
		{"secret\r\n", "secret"},
		{"secret", "secret"},
		{"secret\r", "secret"},
		{" a b \nrest\n", " a b "},
		{"\n", ""},
		{"", ""},
		{long, long},
	} {
		if got, err := readLine(strings.NewReader(c.in)); string(got) != c.want || err != nil {
			t.Errorf("%.20q: %.20q, %v", c.in, got, err)
		}
	}
	if _, err := readLine(strings.NewReader(long + "a")); err == nil {
		t.Error("a line beyond the limit was read")
	}
}

// RFC 6749 §3.2: credentials go over TLS, or stay on this machine.
func TestCredentialsURL(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"https://id.example.com/oauth/token":      true,
		"http://localhost:8080/oauth/token":       true,
		"http://127.0.0.1/oauth/token":            true,
		"http://[::1]:8080/oauth/token":           true,
		"http://id.example.com/oauth/token":       false,
		"http://localhost.example.com/token":      false,
		"http://127.0.0.1.example.com/token":      false,
		"http://localhost@id.example.com/token":   false,
		"ftp://localhost/token":                   false,
		"https:///token":                          false,
		"/oauth/token":                            false,
		"":                                        false,
		"http://local%68ost:80:80/token":          false,
		"https://user:password@id.example.com/":   true,
		"HTTPS://ID.EXAMPLE.COM/oauth/token":      true,
		"http://169.254.169.254/latest/meta-data": false,
	} {
		if err := checkCredentialsURL(endpoint); (err == nil) != want {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}

// RFC 8414 §3.1 says where the metadata is, §3.3 whose it has to be.
func TestDiscover(t *testing.T) {
	var issuer string
	answers := map[string]string{
		"/.well-known/oauth-authorization-server":        `{"issuer":"{issuer}","token_endpoint":"{issuer}/token"}`,
		"/.well-known/oauth-authorization-server/tenant": `{"issuer":"{issuer}/tenant","token_endpoint":"{issuer}/tenant/token"}`,
		"/.well-known/oauth-authorization-server/other":  `{"issuer":"{issuer}","token_endpoint":"{issuer}/token"}`,
		"/.well-known/oauth-authorization-server/blank":  `{"issuer":"{issuer}/blank"}`,
		"/.well-known/oauth-authorization-server/html":   `<html>`,
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(strings.ReplaceAll(text, "{issuer}", issuer)))
	}))
	defer s.Close()
	issuer = s.URL
	for path, want := range map[string]string{
		"": "/token", "/tenant": "/tenant/token", "/other": "", "/blank": "", "/html": "", "/none": "",
	} {
		got, err := discover(t.Context(), issuer+path)
		if want == "" && err == nil || want != "" && got != issuer+want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

func TestTokenRequestErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"RFC 6749 §5.2", 400, `{"error":"invalid_scope","error_description":"too much"}`, "invalid_scope: too much"},
		{"no description", 401, `{"error":"invalid_client"}`, "invalid_client"},
		{"not OAuth", 502, `<html>`, "the token endpoint answers with status 502"},
		{"not JSON", 200, `<html>`, "is not JSON"},
		{"redirect", 307, ``, "the token endpoint answers with status 307"},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer s.Close()
			request := tokenRequest{endpoint: s.URL, client: "billing", secret: "hunter2"}
			_, err := request.send(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") || calls != 1 {
				t.Errorf("%v after %d calls, want %q", err, calls, c.want)
			}
		})
	}
}

func TestAdminFailure(t *testing.T) {
	for in, want := range map[string]string{
		`caddy responded with error: HTTP 409: {"error":"there is a client \"a\" already"}` + "\n": `there is a client "a" already`,
		"performing request: connection refused":                                                   "performing request: connection refused",
		`caddy responded with error: HTTP 500: {"error":`:                                          `caddy responded with error: HTTP 500: {"error":`,
	} {
		if got := adminFailure(errors.New(in)); got.Error() != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAPITokenState(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for want, token := range map[string]state.APIToken{
		"live":    {Expires: now.Add(time.Second)},
		"expired": {Expires: now},
		"revoked": {Expires: now, Revoked: now.Add(-time.Hour)},
	} {
		if got := apiTokenState(&token, now); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
