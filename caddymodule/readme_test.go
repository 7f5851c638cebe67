package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenep/caddy-tokenep/caddymodule"
)

// What the README promises.

// readmeBlocks returns the fenced blocks of a language, in their order.
func readmeBlocks(t *testing.T, language string) []string {
	t.Helper()
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(repositoryFile(t, "README.md"), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("README.md has no block of %s", language)
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

// TestReadmeCaddyfilesAdapt also loads them: placeholders are resolved, and everything is
// provisioned.
func TestReadmeCaddyfilesAdapt(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"gateway": "secret of the gateway",
		// RFC 8037 appendix A.2
		"idp.jwks.json": `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XDG_DATA_HOME", dir)
	t.Setenv("BILLING_SECRET", "secret of billing")
	t.Setenv("OAUTH_KEY", strings.Repeat("00", 32))
	files := strings.NewReplacer("/run/secrets", dir, "/etc/caddy", dir, "/var/lib/caddy", dir, "algorithms RS256", "algorithms EdDSA")
	// caddy fmt removes the alignment of comments, which reads well in a README.
	alignment := regexp.MustCompile(` +#`)
	for i, block := range readmeBlocks(t, "caddyfile") {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			block := alignment.ReplaceAllString(files.Replace(block), " #")
			adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(block), map[string]any{"filename": "README.md"})
			if err != nil || len(warnings) > 0 {
				t.Fatalf("%v %v\n%s", err, warnings, block)
			}
			var config caddy.Config
			if err := json.Unmarshal(adapted, &config); err != nil {
				t.Fatal(err)
			}
			if err := caddy.Validate(&config); err != nil {
				t.Errorf("%v\n%s", err, block)
			}
		})
	}
}

// TestReadmeGoIsAnExample compares the Go of the README, line by line, with the examples, which are
// compiled and run.
func TestReadmeGoIsAnExample(t *testing.T) {
	examples := repositoryFile(t, "tokenep/server/example_test.go")
	for _, block := range readmeBlocks(t, "go") {
		for line := range strings.Lines(block) {
			if !strings.Contains(examples, "\t"+line) && strings.TrimSpace(line) != "" {
				t.Errorf("no example has %q", line)
			}
		}
	}
}

// TestReadmeQuickStart runs the first block of shell as a newcomer does, on free ports and with a
// home of its own.
func TestReadmeQuickStart(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a Caddy")
	}
	t.Parallel()
	for _, command := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(command); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	block, dir := readmeBlocks(t, "bash")[0], t.TempDir()
	var want []string
	for _, m := range regexp.MustCompile(`(?m) # (\d{3})$`).FindAllStringSubmatch(block, -1) {
		want = append(want, m[1])
	}
	if promised := strings.Fields("200 401 200 403 401"); !slices.Equal(want, promised) {
		t.Fatalf("the block promises %v; it is to show %v", want, promised)
	}

	example := filepath.Join(dir, "Caddyfile.example")
	ports := strings.NewReplacer("8080", mustFreePort(t), "9080", mustFreePort(t))
	block = ports.Replace(block)
	for _, file := range []string{"Caddyfile.example", "caddy.log"} {
		if !strings.Contains(block, file) {
			t.Fatalf("the block has no %s", file)
		}
		block = strings.ReplaceAll(block, file, filepath.Join(dir, file))
	}
	if err := os.WriteFile(example, []byte(ports.Replace(repositoryFile(t, "Caddyfile.example"))), 0o600); err != nil {
		t.Fatal(err)
	}

	bash := exec.CommandContext(t.Context(), "bash", "-e", "-c", block)
	bash.Dir, bash.Env = root, quickStartEnvironment(t, dir)
	// On an interrupt it stops its Caddy.
	bash.Cancel = func() error { return bash.Process.Signal(os.Interrupt) }
	bash.WaitDelay = 10 * time.Second
	var messages strings.Builder
	bash.Stderr = &messages
	out, err := bash.Output()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "caddy.log"))
		t.Fatalf("%v\n%s\n%s\n%s", err, out, &messages, log)
	}
	if got := regexp.MustCompile(`(?m)^\d{3}$`).FindAllString(string(out), -1); !slices.Equal(got, want) {
		t.Errorf("it prints %v, and promises %v\n%s\n%s", got, want, out, &messages)
	}
	if !strings.Contains(string(out), "orders for client:billing, through billing") {
		t.Errorf("the API does not tell who called\n%s", out)
	}
}

// quickStartEnvironment has directories and an admin address of its own, but shares the caches of
// the go command. It has the tags of the tests, so that little has to be built.
func quickStartEnvironment(t *testing.T, dir string) []string {
	t.Helper()
	flags := os.Getenv("GOFLAGS")
	if !strings.Contains(flags, "-tags") {
		flags += " -tags=nobadger,nomysql,nopgx"
	}
	inherited := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "BILLING_SECRET=") })
	environment := append(inherited,
		"HOME="+dir, "XDG_DATA_HOME="+filepath.Join(dir, "data"), "XDG_CONFIG_HOME="+filepath.Join(dir, "config"),
		"CADDY_ADMIN=127.0.0.1:"+mustFreePort(t), "GOFLAGS="+strings.TrimSpace(flags))
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOTOOLCHAIN"} {
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		environment = append(environment, name+"="+strings.TrimSpace(string(value)))
	}
	return environment
}

func mustFreePort(t *testing.T) string {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
