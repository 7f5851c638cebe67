package caddymodule_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenep/caddy-tokenep/caddymodule"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// What the README promises.

// blocks returns the fenced blocks of a language in a page, in their order.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(repositoryFile(t, page), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// repositoryFile returns the text of a file of the repository.
func repositoryFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeCaddyfilesAdapt also loads the blocks of the README and of the manual: placeholders are
// resolved, and everything is provisioned, without a warning but for what is advised against. A
// block that begins with issuer is of a route.
func TestReadmeCaddyfilesAdapt(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"gateway":             "secret of the gateway",
		"billing":             "secret of billing",
		"encryption_key":      strings.Repeat("00", 32),
		"pages/texts/de.json": `{"sign_in.title": "Anmeldung"}`,
		"users.htpasswd":      "ada:$2a$10$ppL/g6WBfdetefbQxI8fHObXK9izlK0WSxVoEy/2h0yxEVBTFK1Su\n",
		"k8s-ca.pem":          certificatePEM(newCertificate(t, "authority", nil)),
		"clients-ca.pem":      certificatePEM(newCertificate(t, "authority", nil)),
		// RFC 8037 appendix A.2
		"idp.jwks.json": `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XDG_DATA_HOME", dir)
	t.Setenv("NOTES_SECRET", "long secret of notes")
	t.Setenv("BILLING_SECRET", "secret of billing")
	t.Setenv("ASSISTANT_SECRET", "secret of assistant")
	t.Setenv("ADA_PASSWORD_HASH", "$2a$10$ppL/g6WBfdetefbQxI8fHObXK9izlK0WSxVoEy/2h0yxEVBTFK1Su")
	t.Setenv("SHOP_KEY", "key of the shop")
	t.Setenv("LDAP_PASSWORD", "password of the reader")
	t.Setenv("OAUTH_KEY", strings.Repeat("00", 32))
	files := strings.NewReplacer("/run/secrets", dir, "/run/credentials/caddy-tokenep.service", dir, "/etc/caddy", dir, "/var/lib/caddy", dir, "algorithms RS256", "algorithms EdDSA")
	// caddy fmt removes the alignment of comments, which reads well in a README.
	alignment := regexp.MustCompile(` +#`)
	for page := range manualPages(t) {
		for i, block := range blocks(t, page, "caddyfile") {
			t.Run(fmt.Sprint(path.Base(page), " ", i+1), func(t *testing.T) {
				block := alignment.ReplaceAllString(files.Replace(block), " #")
				if strings.HasPrefix(block, "issuer ") {
					block = "api.example.com {\n\toauth_verify {\n\t\t" + strings.ReplaceAll(strings.TrimSpace(block), "\n", "\n\t\t") + "\n\t}\n}\n"
				}
				adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(block), map[string]any{"filename": page})
				if err != nil || len(warnings) > 0 {
					t.Fatalf("%v %v\n%s", err, warnings, block)
				}
				var config caddy.Config
				if err := json.Unmarshal(adapted, &config); err != nil {
					t.Fatal(err)
				}
				log := filepath.Join(t.TempDir(), "log")
				if config.Logging == nil {
					config.Logging = &caddy.Logging{Logs: make(map[string]*caddy.CustomLog)}
				}
				config.Logging.Logs["default"] = &caddy.CustomLog{BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(fmt.Sprintf(`{"output":"file","filename":%q}`, log))}}
				if err := caddy.Validate(&config); err != nil {
					t.Errorf("%v\n%s", err, block)
				}
				for line := range strings.Lines(readFile(t, log)) {
					if warnedOfOAuth.MatchString(line) && !meant.MatchString(line) {
						t.Errorf("%s\n%s", line, block)
					}
				}
				var parsed any
				if err := errors.Join(json.Unmarshal(adapted, &parsed), checkReached(parsed)); err != nil {
					t.Errorf("%v\n%s", err, block)
				}
			})
		}
	}
}

var (
	warnedOfOAuth = regexp.MustCompile(`"level":"warn".*oauth_`)
	// A client may be added at run time.
	meant = regexp.MustCompile(`password_grant: |names a client that is not in the configuration`)
)

// TestReadmeOpensSinglePaths runs the block of protected routes. Caddy matches the cleaned path and
// passes the raw one on, which an upstream may read in its own way: an open route must let nothing
// but its own path through (RFC 3986 §5.2.4).
func TestReadmeOpensSinglePaths(t *testing.T) {
	block := blocks(t, "caddymodule/docs/routes.md", "caddyfile")[0]
	global, site, ok := strings.Cut(strings.TrimPrefix(block, "{\n"), "\n}\n\n")
	if !ok || !strings.Contains(site, "handle /health") {
		t.Fatal(block)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "upstream got "+r.RequestURI+" end")
	}))
	defer upstream.Close()
	c := newCaddy(t, "legacy:8080", upstream.Listener.Addr().String())
	c.mustLoad(global, strings.Replace(site, "api.example.com {", "%SITE% {", 1))
	send := func(path string) string {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(c.site, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	for _, open := range []string{"/health", "/catalog"} {
		if answer := send(open); !strings.Contains(answer, "upstream got "+open+" end") {
			t.Errorf("%s is not open: %s", open, answer)
		}
		for _, path := range []string{
			"/orders/..", "/orders/1/%2e%2e/%2e%2e", "/orders/..;/..", "/./", "/orders/%2E%2E/.", "/orders//..", "/orders%2f..",
		} {
			answer := send(path + open)
			if strings.Contains(answer, "upstream got ") && !strings.Contains(answer, "upstream got "+open+" end") {
				t.Errorf("%s: %s", path+open, answer)
			}
		}
	}
	if answer := send("//health"); strings.Contains(answer, "upstream got //") {
		t.Errorf("//health: %s", answer)
	}
}

// TestReadmeGoIsAnExample compares the Go of the manual, line by line, with the examples, which are
// compiled and run.
func TestReadmeGoIsAnExample(t *testing.T) {
	examples := repositoryFile(t, "tokenep/server/example_test.go")
	for _, block := range blocks(t, "caddymodule/docs/building.md", "go") {
		for line := range strings.Lines(block) {
			if !strings.Contains(examples, "\t"+line) && strings.TrimSpace(line) != "" {
				t.Errorf("no example has %q", line)
			}
		}
	}
}

// quickStart is the first block of shell in the README, on free ports and with a home and a folder
// of its own.
type quickStart struct {
	dir   string
	ports []string // of the proxy, the API and the admin API
	block string
}

func newQuickStart(t *testing.T) *quickStart {
	t.Helper()
	if testing.Short() {
		t.Skip("it builds a Caddy")
	}
	q := &quickStart{dir: t.TempDir()}
	var changes []string
	for _, port := range []string{"8080", "9080", "2020"} {
		q.ports = append(q.ports, mustFreePort(t))
		changes = append(changes, port, q.ports[len(q.ports)-1])
	}
	changes = append(changes, "quickstart/", filepath.Join(q.dir, "quickstart")+"/", "Caddyfile.example", filepath.Join(q.dir, "Caddyfile.example"))
	own := strings.NewReplacer(changes...)
	q.block = own.Replace(blocks(t, "README.md", "bash")[0])
	if strings.Contains(q.block, "#") {
		t.Error("zsh takes no comments on its command line")
	}
	if err := os.WriteFile(filepath.Join(q.dir, "Caddyfile.example"), []byte(own.Replace(repositoryFile(t, "Caddyfile.example"))), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.stop)
	return q
}

// stop is for a Caddy that a test has left running.
func (q *quickStart) stop() {
	_ = exec.Command(filepath.Join(q.dir, "quickstart", "caddy"), "stop", "--address", "localhost:"+q.ports[2]).Run()
}

// run gives the shell lines to read as if they were pasted, and returns what they print. messages
// waits for the end of all that was started, Caddy included, and returns the standard error of it.
func (q *quickStart) run(t *testing.T, shell, lines string) (out string, messages func() string, err error) {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		servertest.Check(t, fmt.Errorf("%s is %w: apt-get install %s", shell, servertest.ErrMissing, shell))
	}
	stdout, err := os.CreateTemp(q.dir, "output") // a file: Caddy keeps it open
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdout.Close() }()
	stderr, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(stderr)
		said <- string(text)
	}()
	cmd := exec.CommandContext(t.Context(), shell)
	cmd.Dir, cmd.Env, cmd.Stdin = root, q.environment(t), strings.NewReader(lines)
	cmd.Stdout, cmd.Stderr = stdout, theirs
	err = cmd.Run()
	_ = theirs.Close()
	text, _ := os.ReadFile(stdout.Name())
	return string(text), func() string { return <-said }, err
}

// environment has a home of its own, but shares the caches of the go command.
func (q *quickStart) environment(t *testing.T) []string {
	t.Helper()
	environment := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "BILLING_SECRET=") || strings.HasPrefix(v, "PLANNER_SECRET=") || strings.HasPrefix(v, "XDG_") || strings.HasPrefix(v, "CADDY_")
	})
	environment = append(environment, "HOME="+filepath.Join(q.dir, "home"))
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOTOOLCHAIN"} {
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		environment = append(environment, name+"="+strings.TrimSpace(string(value)))
	}
	return environment
}

// TestReadmeQuickStart pastes the quick start into each shell as a newcomer does, one after the
// other and again in the same folder. Each time the last line stops it.
func TestReadmeQuickStart(t *testing.T) {
	t.Parallel()
	q := newQuickStart(t)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			out, messages, err := q.run(t, shell, q.block)
			if err != nil {
				q.stop()
				t.Fatalf("%v\n%s\n%s", err, out, messages())
			}
			var want, got []string
			for _, m := range regexp.MustCompile(`(?s)Expect (\d{3}):\n.*?status (\d{3})\n`).FindAllStringSubmatch(out, -1) {
				want, got = append(want, m[1]), append(got, m[2])
			}
			if promised := strings.Fields("200 401 200 403 401 200"); !slices.Equal(want, promised) || !slices.Equal(got, want) {
				t.Errorf("it promises %v and prints %v, want %v\n%s", want, got, promised, out)
			}
			for _, caller := range []string{"client:billing, through billing", "ada, through api_token:", "ada, through planner"} {
				if !strings.Contains(out, "orders for "+caller) {
					t.Errorf("the API does not say that %s called\n%s", caller, out)
				}
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if _, why, err := q.run(t, shell, lines[len(lines)-1]); err != nil {
				q.stop()
				t.Errorf("the last line does not stop it: %v\n%s", err, why())
			}
			messages() // until Caddy has ended
		})
	}
	for _, folder := range []string{".config/caddy", ".local/share/caddy"} {
		if _, err := os.Stat(filepath.Join(q.dir, "home", folder)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("it has touched %s, which another Caddy may use: %v", folder, err)
		}
	}
}

// TestReadmeQuickStartEndsAtATakenPort has another server at one of its ports. Another Caddy would
// share the port (SO_REUSEPORT), so no error of the system can be relied on.
func TestReadmeQuickStartEndsAtATakenPort(t *testing.T) {
	t.Parallel()
	q := newQuickStart(t)
	refuses := func(says string) {
		t.Helper()
		out, messages, err := q.run(t, "bash", q.block)
		if err == nil {
			q.stop()
		}
		out += messages()
		if err == nil || !strings.Contains(out, says) || strings.Contains(out, "A client gets a token") || strings.Contains(out, "goes on") {
			t.Errorf("it goes on, or does not say %q: %v\n%s", says, err, out)
		}
	}
	for _, port := range q.ports {
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		other := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "another one")
		}))
		_ = other.Listener.Close()
		other.Listener = listener
		other.Start()
		refuses("Server: another one")
		other.Close()
	}
	// One that speaks no HTTP keeps Caddy from listening.
	mute, err := net.Listen("tcp", "127.0.0.1:"+q.ports[0])
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for conn, err := mute.Accept(); err == nil; conn, err = mute.Accept() {
			_ = conn.Close()
		}
	}()
	refuses("address already in use")
	_ = mute.Close()
}

func mustFreePort(t testing.TB) string {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
