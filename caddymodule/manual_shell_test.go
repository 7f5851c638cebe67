package caddymodule_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every block of commands in the README and the manual is run, as it stands there but for the
// addresses and paths of a machine.

// shellBlock says how a block is run.
type shellBlock struct {
	has string                              // what tells it apart from the others of its page
	by  func(*testing.T)                    // the test that runs it; or
	run func(t *testing.T, commands string) // what runs it
}

// shellBlocks are those of each page, in their order.
var shellBlocks = map[string][]shellBlock{
	"README.md": {
		{has: "quickstart", by: TestReadmeQuickStart},
		{has: "xcaddy build --with", run: runXcaddy("boltstore", "memorystore", "postgresstore", "redisstore")},
	},
	"docs/README.md": {{has: "client add tester", run: runTrial}},
	"docs/admin-api.md": {
		{has: "inspect --config", run: runQuestions},
		{has: "client rotate reports", by: TestCurlOfTheAdminAPI},
		{has: `{"client_id":"reports","grant`, by: TestCurlOfTheAdminAPI},
		{has: "/api_tokens", by: TestCurlOfTheAdminAPI},
		{has: "/revocations", by: TestCurlOfTheAdminAPI},
		{has: "/keys", by: TestCurlOfTheAdminAPI},
	},
	"docs/api-tokens.md": {{has: "api-token create", run: runAPITokens}},
	"docs/bound-tokens.md": {
		{has: "dpop+jwt", run: runProofs},
		{has: "robot.csr", by: TestCertificatesOfDocs},
		{has: "--cert", by: TestCertificatesOfDocs},
	},
	"docs/building.md": {
		{has: "xcaddy build --with", run: runXcaddy("boltstore", "memorystore", "postgresstore", "redisstore")},
		{has: "postgresstore", run: runXcaddy("postgresstore")},
	},
	"docs/client-recipes.md": {
		{has: "jq -r .access_token", by: TestRecipesForClients},
		{has: "code_challenge", by: TestRecipesForGrants},
		{has: "token --api-token", run: runQuestions},
	},
	"docs/deployment.md": {
		{has: "systemctl", run: runUnit},
		{has: "podman", run: runImage},
		{has: "kubectl", run: runCluster},
		{has: "caddy validate", by: TestDeploymentUnitRuns},
		{has: "caddy oauth restore", by: TestDeploymentUnitRuns},
	},
	"docs/growth.md":        {{has: "go test", run: runBenchmarks}},
	"docs/mcp.md":           {{has: "Mcp-Name", run: runTools}},
	"docs/migration.md":     {{has: "api-token import", by: TestMigrationOfAKey}},
	"docs/operations.md":    {{has: "oauth trace", run: runTrace}},
	"docs/other-issuers.md": {{has: "GRANT SELECT", run: runReaders}},
	"docs/performance.md":   {{has: "go test", run: runBenchmarks}},
	"docs/people.md":        {{has: "consent revoke", by: TestRecipesForGrants}},
	"docs/policies.md":      {{has: "$JOB_TOKEN", run: runQuestions}, {has: "policy test", run: runQuestions}},
	"docs/troubleshooting.md": {
		{has: "policy test", run: runQuestions},
		{has: "jq -c", run: runQuestions},
	},
	"docs/users.md": {{has: "user disable", run: runUsers}},
}

// standIns are the commands that cannot run in a test, with the reason: the list of what the blocks
// do elsewhere only. In their place stand functions of the shell, which hold as much as they can.
var standIns = map[string]struct{ reason, function string }{
	"sudo": {"the test is whoever it is; paths of root are in its folder", `sudo() { "$@"; }`},
	"systemctl": {"systemd is not the first process here, as it is in TestDeploymentUnitRuns: what the unit says is done by hand", `
systemctl() {
	case "$*" in
	daemon-reload) systemd-analyze verify --man=no unit.service ;;
	"enable --now caddy-tokenep")
		sed -n 's/^LoadCredential=\([^:]*\):/\1 /p' unit.service | while read -r name from; do cp "$from" "credentials/$name"; done
		export $(sed -n 's/^Environment=//p' unit.service)
		$(sed -n 's/^ExecStart=//p' unit.service)
		;;
	*) echo "systemctl $*" >&2; exit 2 ;;
	esac
}`},
	"podman": {"it needs namespaces and a registry; TestDeploymentContainerfileBuilds builds the program", `
podman() { printf '%s\n' "$@" >"podman-$1"; }`},
	"kubectl": {"there is no cluster: the client makes what it would send, and exec runs here", `
kubectl() {
	case " $* " in
	*" create "*) command kubectl "$@" --dry-run=client -o yaml ;;
	" apply -f "*) cat "$3" >/dev/null ;;
	*" exec "*) while [ "$1" != -- ]; do shift; done; shift; "${1##*/}" oauth key list ;;
	*) echo "kubectl $*" >&2; exit 2 ;;
	esac
}`},
	"xcaddy": {"it builds from the network, for minutes; the script xcaddy.txtar does with TEST_XCADDY=1", `
xcaddy() { printf '%s\n' "$@" >xcaddy; }`},
	"go": {"its benchmarks take hours: here they are found by name", `
go() { printf '%s\n' "$*" >>benchmarks; }`},
}

// TestShellOfDocsRuns runs the blocks that no other test runs, and requires that there is none
// beside those of the table.
func TestShellOfDocsRuns(t *testing.T) {
	pages := manualPages(t)
	for page, text := range pages {
		page := strings.TrimPrefix(page, "caddymodule/")
		found := regexp.MustCompile("(?ms)^```(?:sh|bash|console|shell)\n(.*?)^```$").FindAllStringSubmatch(text, -1)
		if indented := regexp.MustCompile(`(?m)^    (?:\$ )?(caddy|curl|go|sudo|kubectl|psql|redis-cli) .*`).FindString(text); indented != "" {
			t.Errorf("%s: write commands in a block of sh: %s", page, indented)
		}
		if len(found) != len(shellBlocks[page]) {
			t.Errorf("%s has %d blocks of commands; shellBlocks says how %d are run", page, len(found), len(shellBlocks[page]))
			continue
		}
		for i, how := range shellBlocks[page] {
			block := found[i][1]
			if !strings.Contains(block, how.has) {
				t.Errorf("%s: block %d has no %s:\n%s", page, i+1, how.has, block)
			} else if how.run != nil {
				t.Run(fmt.Sprint(page, " ", i+1), func(t *testing.T) { how.run(t, block) })
			}
		}
	}
	for page := range shellBlocks {
		if pages[page] == "" && pages["caddymodule/"+page] == "" {
			t.Errorf("there is no %s", page)
		}
	}
}

// shell runs commands in a folder as sh does, with stand-ins, and returns what they print.
func shell(t *testing.T, dir, commands string, names ...string) string {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)(?:^|[|;(] *)(curl|jq|openssl|psql|redis-cli|kubectl|systemd-analyze)\b`).FindAllStringSubmatch(commands, -1) {
		needed(t, m[1])
	}
	var lines strings.Builder
	for _, name := range names {
		lines.WriteString(standIns[name].function + "\n")
	}
	// A file: what goes on running keeps it open.
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	command := exec.CommandContext(t.Context(), "sh", "-eu", "-c", lines.String()+commands)
	command.Dir, command.Stdout, command.Stderr = dir, out, out
	err = command.Run()
	said := readFile(t, out.Name())
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return said
}

// shows requires that what was printed has each of the texts.
func shows(t *testing.T, said string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !regexp.MustCompile(text).MatchString(said) {
			t.Errorf("it does not show %s\n%s", text, said)
		}
	}
}

// loadPage loads a Caddyfile of a page on a site of this machine, and returns what puts that into
// texts. The changes are of the Caddyfile.
func loadPage(t *testing.T, page string, block int, changes ...string) (c *running, here *strings.Replacer) {
	t.Helper()
	c = newCaddy(t)
	t.Setenv("CADDY_ADMIN", c.admin)
	here = strings.NewReplacer("https://api.example.com", c.site, "http://localhost:8080", c.site, "localhost:2019", c.admin)
	text := blocks(t, "caddymodule/"+page, "caddyfile")[block]
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			t.Fatalf("%s has no %q", page, changes[i])
		}
		text = strings.ReplaceAll(text, changes[i], changes[i+1])
	}
	global, site, _ := strings.Cut(strings.TrimPrefix(text, "{\n"), "\n}\n\n")
	c.mustLoad(strings.Replace(here.Replace(global), "oauth_server {", "oauth_server {\nstore memory", 1),
		here.Replace(strings.Replace(site, "api.example.com {", "%SITE% {", 1)))
	return c, here
}
