package caddymodule_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenep/caddy-tokenep/caddymodule"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

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
