package caddymodule_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// everyCommand calls do with each command below caddy oauth, and with that.
func everyCommand(do func(*cobra.Command)) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		do(c)
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(oauthCommand())
}

// Each flag that a help text names is one of its command, or of the command that the text names
// before it, and each example is a command line that the program takes.
func TestHelpNamesWhatThereIs(t *testing.T) {
	flag := regexp.MustCompile(`(?:caddy oauth |')?([a-z][a-z -]*?)? ?--([a-z][a-z-]+)`)
	everyCommand(func(c *cobra.Command) {
		has := func(command *cobra.Command, name string) bool {
			return name == "help" || command.Flags().Lookup(name) != nil || command.InheritedFlags().Lookup(name) != nil ||
				command.PersistentFlags().Lookup(name) != nil
		}
		texts := c.Short + "\n" + c.Long
		c.Flags().VisitAll(func(f *pflag.Flag) { texts += "\n" + f.Usage })
		for _, m := range flag.FindAllStringSubmatch(texts, -1) {
			of := c
			words := strings.Fields(m[1])
			for i := range words {
				if named, rest, err := oauthCommand().Find(words[i:]); err == nil && len(rest) == 0 && named.Name() != "oauth" {
					of = named
					break
				}
			}
			if !has(of, m[2]) {
				t.Errorf("%s: its help names --%s, which %s does not have", c.CommandPath(), m[2], of.CommandPath())
			}
		}
		if strings.Contains(c.Example, `\\`) {
			t.Errorf("%s: a shell takes two backslashes for one that is not at the end of the line", c.CommandPath())
		}
		for _, line := range commandLines("```\n" + strings.ReplaceAll(c.Example, "$(date +%F)", "today") + "\n```") {
			if _, err := parseCommand(line); err != nil {
				t.Errorf("%s: the example %s: %v", c.CommandPath(), line, err)
			}
		}
	})
}

// Each default that a help text gives as a value is the one of the source.
func TestHelpGivesTheRightDefaults(t *testing.T) {
	source := map[string]string{
		"create --expires-in":   tokenep.Duration(state.DefaultAPITokenLife).String(),
		"add --id-token-alg":    tokenep.IDTokenAlgs[0],
		"update --id-token-alg": tokenep.IDTokenAlgs[0],
		"inspect --from":        "127.0.0.1", // TestScript/cli_inspect_url
	}
	value := regexp.MustCompile(`default:? ([A-Z0-9][A-Za-z0-9.]*)`)
	everyCommand(func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			name := c.Name() + " --" + f.Name
			if m := value.FindStringSubmatch(f.Usage); m != nil {
				if source[name] != m[1] {
					t.Errorf("%s: the help says that the default is %s, and the source %q", name, m[1], source[name])
				}
				delete(source, name)
			}
		})
	})
	for name := range source {
		t.Errorf("%s: its help gives no default", name)
	}
}

// examplesConfig is of a server for which each example of the help can be run.
const examplesConfig = `{
	admin %ADMIN%
	default_bind 127.0.0.1
	storage file_system %DIR%/storage
	log {
		output file %DIR%/caddy.log
	}
	oauth_server {
		issuer %SITE%
		store bolt %DIR%/oauth.db
		token_exchange {
			anonymous
			api_tokens
		}
		client deploy {
			secret demo-deploy-secret
			grants token_exchange
			scope orders:read
			audience %SITE%/orders
		}
		subject jwt https://idp.example.com {
			jwks_file %DIR%/jwks.json
			audience %SITE%
			policy jobs {
				clients any none
				grants token_exchange jwt_bearer
				subject ` + "`\"job:\" + claims.sub`" + `
				scope orders:read
				audience %SITE%/orders
			}
		}
	}
}
%SITE% {
	log {
		output file %DIR%/access.log
	}
	oauth_token
	handle /orders* {
		oauth_verify {
			audience %SITE%/orders
		}
		respond hi
	}
	handle /mcp {
		oauth_verify {
			audience %SITE%/orders
			mcp
		}
		respond hi
	}
}
`

// examplesFirst are the commands whose examples others need, in their order; and examplesLast those
// that end what others need.
var (
	examplesFirst = []string{"client add", "api-token create", "token"}
	examplesLast  = []string{"api-token revoke", "api-token revoke-all", "revoke", "user revoke", "client remove", "key withdraw", "restore"}
)

// examplesRefused are those that are refused here, as their help says, and how.
var examplesRefused = map[string]string{
	"caddy oauth consent revoke --user ada --client notes": "this user has allowed that to nobody",
	"caddy oauth consent revoke --user ada":                "this user has allowed that to nobody",
	"caddy oauth key rotate":                               "--force rotates all the same",
	// No browser is signed in: sign_in.txtar ends a session.
	"caddy oauth user sessions ada --end 3vQ0Xk1mPz9a": "the user has no session with this id",
}

// Each example of a help text is run in a shell, and succeeds. The names in it become those of the
// test.
func TestHelpExamplesRun(t *testing.T) {
	c := newCaddy(t)
	issuer := verifytest.New("https://idp.example.com", c.site)
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(issuer.JWKS()))
	writeFile(t, filepath.Join(c.dir, "assertion.jwt"), issuer.Sign(nil))
	writeFile(t, filepath.Join(c.dir, "tokens.jsonl"), `{"owner":"ada","service":"`+c.site+`/orders","hash":"sha256:`+strings.Repeat("ab", 32)+`"}`)
	for name, script := range map[string]string{"sudo": `shift 2; exec "$@"`, "systemctl": "", "age": "cat"} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte("#!/bin/sh\n"+strings.Replace(script, "shift 2;", `[ "$1" != -u ] || shift 2;`, 1)+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	text := c.vars.Replace(examplesConfig)
	writeFile(t, filepath.Join(c.dir, "Caddyfile"), text)
	adapted, err := adapt([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatal(err)
	}
	run := newExampleRun(t, c, issuer)
	examples := map[string]string{}
	everyCommand(func(command *cobra.Command) {
		examples[strings.TrimPrefix(command.CommandPath(), "caddy oauth ")] = command.Example
	})
	order := slices.Clone(examplesFirst)
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		if !slices.Contains(examplesFirst, name) && !slices.Contains(examplesLast, name) {
			order = append(order, name)
		}
	}
	for _, name := range append(order, examplesLast...) {
		if name == "restore" {
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		for _, example := range strings.Split(examples[name], "  $ ")[1:] {
			run.do(name, strings.TrimSpace(example))
		}
	}
}

// exampleRun runs examples, with what those before have printed.
type exampleRun struct {
	t    *testing.T
	dir  string
	env  []string
	like map[string]string // what stands in the place of a name
}

func newExampleRun(t *testing.T, c *running, issuer *verifytest.Issuer) *exampleRun {
	return &exampleRun{t: t, dir: c.dir, env: append(os.Environ(), "PATH="+c.dir+":"+os.Getenv("PATH"), "CADDY_ADMIN="+c.admin, "RECIPIENT=ada",
		"ACTIONS_ID_TOKEN="+issuer.Sign(nil)), like: map[string]string{
		"https://api.example.com": c.site, "https://id.example.com": c.site, "/var/backups": c.dir, "/etc/caddy": c.dir, "/var/log/caddy": c.dir,
		"sha256:ba78…15ad": "sha256:" + strings.Repeat("cd", 32), "caddy-1.log": "access.log"}}
}

// do runs an example. Its output, or what it puts into a variable, is what the next ones take.
func (r *exampleRun) do(name, example string) {
	r.t.Helper()
	switch {
	case strings.HasPrefix(name, "key withdraw"):
		r.like["3Yyr3vNBaXk5b9oLgQ3mJ2iPjvVdzVJQmRaxR1C8hJM"] = r.sh(`caddy oauth key list --json | sed 's/.*"kid": *"\([^"]*\)".*/\1/;t;d' | grep -v ^- | head -1`)
	case name == "restore" && strings.Contains(example, "restore"):
		found, _ := filepath.Glob(filepath.Join(r.dir, "oauth-20*.db"))
		if len(found) != 1 {
			r.t.Fatalf("backups: %q", found)
		}
		example = strings.ReplaceAll(example, "/var/backups/oauth-2030-01-31.db", found[0])
	}
	for from, to := range r.like {
		example = strings.ReplaceAll(example, from, to)
	}
	said, err := r.run(example + "\necho \"$token$secret\"")
	if want := examplesRefused[example]; want != "" {
		if err == nil || !strings.Contains(said, want) {
			r.t.Errorf("%s: %v, %s", example, err, said)
		}
		return
	}
	if err != nil {
		r.t.Errorf("%s\n%v: %s", example, err, said)
	}
	lines := strings.Fields(said)
	if len(lines) == 0 {
		return
	}
	last := lines[len(lines)-1]
	switch {
	case name == "client add" && strings.Contains(example, "billing"):
		writeFile(r.t, filepath.Join(r.dir, "secret.txt"), last)
		r.env = append(r.env, "SECRET="+last)
	case name == "token" && strings.Contains(example, "secret.txt"):
		r.env = append(r.env, "TOKEN="+last)
		r.like["cbhzAQYGkBhSwku_XfJkMQ"] = r.sh(`
			id=-
			while [ "${id#-}" != "$id" ]; do # the help of key withdraw says what such an id needs
				id=$(caddy oauth token --client billing <secret.txt | caddy oauth inspect --json | sed 's/.*"jti": *"\([^"]*\)".*/\1/;t;d')
			done
			echo "$id"`)
	case name == "api-token create":
		r.env = append(r.env, "API_TOKEN="+last)
		r.like["4oK2iTqQ0Zl7"] = strings.Split(last, "_")[1]
	}
}

// sh returns what a shell prints.
func (r *exampleRun) sh(script string) string {
	r.t.Helper()
	said, err := r.run(script)
	if err != nil {
		r.t.Errorf("%s\n%v: %s", script, err, said)
	}
	return said
}

// run returns what a shell prints, or after an error all that it has said.
func (r *exampleRun) run(script string) (string, error) {
	cmd := exec.CommandContext(r.t.Context(), "sh", "-ec", script)
	cmd.Dir, cmd.Env = r.dir, r.env
	var said, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &failed
	err := cmd.Run()
	if err != nil {
		_, _ = failed.WriteTo(&said)
	}
	return strings.TrimSpace(said.String()), err
}
