package server_test

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// The same requests go to this server and to two that others wrote: the npm packages
// @jmondi/oauth2-server, which is a library for servers, and oidc-provider, which is certified by
// the OpenID Foundation. Where one of them answers otherwise, the table says what, and why this
// server does not.

// comparison is a row of the table.
type comparison struct {
	name string
	ask  func(t *testing.T, p *party) string // tells what the answer is; see told

	want             string // of this server, and of the others unless they are named below
	jmondi, provider string // what @jmondi/oauth2-server and oidc-provider answer instead
	why              string // why this server does not, with the section that says so
}

// party is one of the servers. Its paths are the same as those of the others.
type party struct {
	*tokeneptest.Server
	browser http.Client // of one row; it has cookies, and stays within the server
}

// differentialClients are known to all servers. The secret of each is its id with -secret behind
// it.
func differentialClients() []tokenep.Client {
	site := tokeneptest.NewClient("site", cc, grant.AuthorizationCodeType, grant.RefreshTokenType)
	other := tokeneptest.NewClient("other", site.GrantTypes...)
	odd := tokeneptest.NewClient("an odd:client", cc)
	idle := tokeneptest.NewClient("idle")
	native := tokenep.Client{
		ID: "native", AuthMethod: tokenep.AuthNone, GrantTypes: []string{grant.AuthorizationCodeType, grant.RefreshTokenType},
		RedirectURIs: []string{tokeneptest.Loopback},
	}
	tool := tokenep.Client{ID: "tool", AuthMethod: tokenep.AuthNone, GrantTypes: []string{cc}}
	site.Scope = verify.Scope{"read", "write"}
	for _, c := range []*tokenep.Client{&other, &odd, &idle, &native, &tool} {
		c.Scope = verify.Scope{"read"}
	}
	for _, c := range []*tokenep.Client{&site, &other, &idle} {
		c.RedirectURIs = []string{tokeneptest.Callback}
	}
	all := []tokenep.Client{site, other, odd, idle, native, tool}
	for i := range all {
		all[i].SkipConsent = true
	}
	return all
}

// metadataOf returns the client metadata of RFC 7591 §2 that the other servers read.
func metadataOf(t *testing.T, clients []tokenep.Client) string {
	t.Helper()
	var list []map[string]any
	for _, c := range clients {
		m := map[string]any{
			"client_id": c.ID, "grant_types": append([]string{}, c.GrantTypes...), "scope": c.Scope.String(),
			"redirect_uris": append([]string{}, c.RedirectURIs...), "response_types": []string{},
		}
		if c.May(grant.AuthorizationCodeType) {
			m["response_types"] = []string{"code"}
		}
		if c.Public() {
			m["token_endpoint_auth_method"], m["application_type"] = c.AuthMethod, "native"
		} else {
			m["client_secret"] = c.ID + "-secret"
		}
		list = append(list, m)
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	//go:embed testdata/oracles/jmondi.mjs
	jmondiScript string
	//go:embed testdata/oracles/oidc-provider.mjs
	providerScript string
)

// startInNode starts a script that prints its URL when it listens, and ends with its standard
// input.
func startInNode(t *testing.T, name, script, argument string) *party {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", npmScript(t, name, script), argument)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() {
		_ = stdin.Close()
		_ = command.Wait()
	}
	late := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	late.Stop()
	if err != nil {
		end()
		t.Fatalf("%s does not listen: %v\n%s", name, err, &stderr)
	}
	t.Cleanup(end)
	return &party{Server: &tokeneptest.Server{URL: strings.TrimSpace(line)}}
}

// TestOtherServersAnswerLikewise holds the table.
func TestOtherServersAnswerLikewise(t *testing.T) {
	clients := differentialClients()
	metadata := metadataOf(t, clients)
	jmondi := startInNode(t, "jmondi.mjs", jmondiScript, metadata)
	provider := startInNode(t, "oidc-provider.mjs", providerScript, metadata)
	ours := &party{Server: tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) {
		c.Clients, c.Exchange = clients, server.Exchange{}
	})}

	for _, table := range []struct {
		name string
		rows []comparison
	}{
		{"token endpoint", tokenComparisons()}, {"authorization endpoint", authorizeComparisons()},
		{"code", codeComparisons()}, {"refresh token", refreshComparisons()},
		{"revocation", revocationComparisons()}, {"introspection", introspectionComparisons()}, {"documents", documentComparisons()},
	} {
		t.Run(table.name, func(t *testing.T) {
			for _, row := range table.rows {
				t.Run(row.name, func(t *testing.T) { row.compare(t, ours, jmondi, provider) })
			}
		})
	}
}

func (c *comparison) compare(t *testing.T, ours, jmondi, provider *party) {
	if different := c.jmondi != "" || c.provider != ""; different != (c.why != "") || c.jmondi == c.want || c.provider == c.want {
		t.Error("a row has a reason if, and only if, another server differs")
	}
	for _, answer := range []struct {
		name string
		of   *party
		want string
	}{{"this server", ours, c.want}, {"@jmondi/oauth2-server", jmondi, c.jmondi}, {"oidc-provider", provider, c.provider}} {
		if answer.want == "" {
			answer.want = c.want
		}
		if got := c.ask(t, answer.of.anew(t)); got != answer.want {
			t.Errorf("%s: %s; want %s", answer.name, got, answer.want)
		}
	}
}

// anew returns the server with a new browser in front of it.
func (p *party) anew(t *testing.T) *party {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &party{Server: p.Server, browser: http.Client{
		Jar: jar,
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if strings.HasPrefix(r.URL.String(), p.URL+"/") {
				return nil
			}
			return http.ErrUseLastResponse
		},
	}}
}

// visit sends a request as the browser does, which goes on until it is sent elsewhere.
func (p *party) visit(t *testing.T, r tokeneptest.Request) tokeneptest.Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.Method, p.URL+r.Path, strings.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = r.Header
	response, err := p.browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	a := tokeneptest.Answer{Request: r, Status: response.StatusCode, Header: response.Header}
	if a.Body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(a.Body, &a.JSON) // a page stays nil
	return a
}

// told says what an answer is: its status, with the error code or the kind of success.
func told(a tokeneptest.Answer) string {
	location, text := a.Header.Get("Location"), func(name string) string { s, _ := a.JSON[name].(string); return s }
	what := "nothing"
	switch active, asked := a.JSON["active"]; {
	case location != "":
		what = redirection(location)
	case text("error") != "":
		what = text("error")
	case text("access_token") != "":
		what = "token"
		if text("refresh_token") != "" {
			what += " and refresh token"
		}
		if scope := text("scope"); scope != "" {
			what += " for " + scope
		}
	case asked && active == true:
		what = "active"
	case asked:
		what = "inactive"
	case strings.HasPrefix(a.Header.Get("Content-Type"), "text/html"):
		what = "page"
	}
	return fmt.Sprint(a.Status, " ", what)
}

// redirection says what is in the answer to an authorization request: code or the error, behind #
// if it is in the fragment, the names of the other parameters, and where it goes if that is not
// where the clients are.
func redirection(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return err.Error()
	}
	values, what := u.Query(), ""
	if u.Fragment != "" {
		values, _ = url.ParseQuery(u.Fragment)
		what = "#"
	}
	if values.Has("code") {
		what += "code"
	}
	what += values.Get("error")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name != "code" && name != "error" && name != "error_description" {
			what += " " + name
		}
	}
	u.RawQuery, u.Fragment = "", ""
	if to := u.String(); to != tokeneptest.Callback && to != tokeneptest.RedirectURI("native") {
		what += " at " + to
	}
	return what
}
