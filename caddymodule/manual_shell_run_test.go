package caddymodule_test

import (
	"go/ast"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// What runs the blocks of commands: see shellBlocks.

// runTrial does what the index of the manual says of its blocks, with one of routes.
func runTrial(t *testing.T, commands string) {
	c, here := loadPage(t, "docs/client-recipes.md", 0, "{env.BILLING_SECRET}", "secret-of-a-machine")
	shows(t, shell(t, c.dir, here.Replace(commands)), "orders for client:tester")
}

func runAPITokens(t *testing.T, commands string) {
	c, here := loadPage(t, "docs/api-tokens.md", 0)
	shows(t, shell(t, c.dir, here.Replace(commands)), `"access_token":"`, `(?m)^\w{12} +laptop +ada +\S+/orders +orders:read .*live$`)
}

func runProofs(t *testing.T, commands string) {
	t.Setenv("BILLING_SECRET", "secret of a machine")
	c, here := loadPage(t, "docs/bound-tokens.md", 0, "reverse_proxy payments:8080", `respond "it gets through"`)
	shows(t, shell(t, c.dir, here.Replace(commands)), `"error":"use_dpop_nonce"`, "it gets through$")
}

// TestCertificatesOfDocs runs the blocks of docs/bound-tokens.md that make certificates, and use
// them at the Caddyfile beside them. The site has a certificate that the test has made.
func TestCertificatesOfDocs(t *testing.T) {
	const page = "caddymodule/docs/bound-tokens.md"
	commands := blocks(t, page, "sh")
	c := newCaddy(t)
	shell(t, c.dir, commands[1])
	https, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := writeCertificate(t, c.dir, "site", newCertificate(t, "localhost", nil))
	here := strings.NewReplacer("api.example.com {", "localhost:"+https+" {", "tls {", "tls "+certificate+" "+key+" {", "api.example.com", "localhost:"+https,
		"/etc/caddy", c.dir, "reverse_proxy payments:8080", `respond "it gets through"`, "oauth_server {", "oauth_server {\nstore memory")
	global, site, _ := strings.Cut(strings.TrimPrefix(blocks(t, page, "caddyfile")[1], "{\n"), "\n}\n\n")
	c.mustLoad("auto_https disable_redirects\n"+here.Replace(global), here.Replace(site))
	curl := "curl() { command curl --cacert " + certificate + " \"$@\"; }\n"
	if said := shell(t, c.dir, curl+here.Replace(commands[2])); said != "it gets through" {
		t.Error(said)
	}
	without := strings.ReplaceAll(here.Replace(commands[2]), "curl -sS --cert robot.pem --key robot.key -H", "curl -sS -H")
	shows(t, shell(t, c.dir, curl+without), "the token is bound to a client certificate, and none was presented")
}

func runTools(t *testing.T, commands string) {
	c, here := loadPage(t, "docs/mcp.md", 0, "reverse_proxy localhost:3000", `respond "it gets through"`)
	shell(t, c.dir, here.Replace(`caddy oauth client add agent --grant client_credentials --scope "mcp orders:read" --audience https://api.example.com/mcp >secret`))
	t.Setenv("TOKEN", strings.TrimSpace(shell(t, c.dir, "caddy oauth token --client agent <secret")))
	shows(t, shell(t, c.dir, here.Replace(commands)), "it gets through", `"scope":"mcp orders:write"`, "(?m)^ok +MCP$")
}

// runUsers runs what an administrator does with people.
func runUsers(t *testing.T, commands string) {
	c, _ := loadPage(t, "docs/api-tokens.md", 0)
	shows(t, shell(t, c.dir, commands), "(?m)^USER +DISABLED", `User "ada" is disabled`, `All sessions of user "ada" have ended`)
}

// runTrace has the logs of a request in the place of those that the page names.
func runTrace(t *testing.T, commands string) {
	logs := filepath.Join(t.TempDir(), "access.log")
	c, here := loadPage(t, "docs/operations.md", 0, "/var/log/caddy/access.log", logs, "reverse_proxy localhost:9000", "respond hi",
		"	oauth_verify {\n		audience https://api.example.com", "	oauth_verify {\n		audience orders",
		"issuer https://api.example.com", "issuer https://api.example.com\nclient billing {\nsecret "+marker+"\ngrants client_credentials\naudience orders\n}")
	token := c.token(marker)
	c.get(c.site+"/orders", token).want(t, "the route", 200)
	id := regexp.MustCompile(`"jti": "([^"]+)"`).FindStringSubmatch(shell(t, c.dir, "echo "+token+" | caddy oauth inspect"))
	if id == nil {
		t.Fatal("the token has no jti")
	}
	commands = regexp.MustCompile(`-- \S+`).ReplaceAllString(here.Replace(commands), "-- "+id[1])
	commands = strings.NewReplacer("/var/log/caddy/caddy.log", filepath.Join(c.dir, "log"), "/var/log/caddy/access.log", logs).Replace(commands)
	shows(t, shell(t, c.dir, commands), `"token issued" +`+id[1], `"handled request" +`+id[1]+".* 200")
}

// runQuestions runs what asks about tokens: of a client, of an owner of API tokens, of another
// issuer at a route, and of a job that a policy lets in.
func runQuestions(t *testing.T, commands string) {
	c := newCaddy(t)
	t.Setenv("CADDY_ADMIN", c.admin)
	idp := verifytest.New("https://idp.example", c.site+"/orders")
	ci := verifytest.New("https://token.actions.githubusercontent.com", c.site)
	writeFile(t, filepath.Join(c.dir, "idp.json"), string(idp.JWKS()))
	writeFile(t, filepath.Join(c.dir, "ci.json"), string(ci.JWKS()))
	here := strings.NewReplacer("https://api.example.com", c.site, "discovery", "jwks_file "+filepath.Join(c.dir, "ci.json"))
	policy := regexp.MustCompile(`(?ms)^\t\tsubject jwt .*?^\t\t}\n`).FindString(blocks(t, "caddymodule/docs/policies.md", "caddyfile")[0])
	route := "oauth_verify {\naudience " + c.site + "/orders\nissuer https://idp.example {\njwks_file " + filepath.Join(c.dir, "idp.json") + "\n}\n"
	c.mustLoad("oauth_server {\nissuer %SITE%\nstore memory\ntoken_exchange {\nanonymous\napi_tokens\n}\nclient billing {\nsecret "+
		marker+"\ngrants client_credentials\n}\n"+here.Replace(policy)+"\n}", "%SITE% {\noauth_token\n"+route+"server default\n}\nrespond hi\n}")
	writeFile(t, filepath.Join(c.dir, "Caddyfile"), c.site+" {\n"+route+"}\nrespond hi\n}\n")
	writeFile(t, filepath.Join(c.dir, "secret.txt"), marker+"\n")
	job := ci.Sign(verifytest.Claims{"repository_id": "123", "repository": "acme/orders", "ref": "refs/heads/main", "run_id": "7"})
	for name, value := range map[string]string{
		"TOKEN": idp.Sign(nil), "FOREIGN_TOKEN": job, "JOB_TOKEN": job, "API_TOKEN": c.newAPIToken("ada", c.site+"/orders", "orders:read"),
	} {
		t.Setenv(name, value)
	}
	c.get(c.site+"/orders", "nonsense").want(t, "a refusal for the log", 401)
	commands = strings.ReplaceAll(here.Replace(commands), " caddy.log", " "+filepath.Join(c.dir, "log"))
	said := shell(t, c.dir, commands)
	for command, answer := range map[string]string{
		"oauth inspect":          "The token would be accepted",
		"oauth inspect --config": "(?s)The token would be accepted.*The token would be accepted",
		"oauth token --client":   "(?m)^eyJ",
		"oauth policy test":      "deploy.*github:acme/orders",
		"curl":                   `"access_token":"`,
		"jq -c":                  `"msg":"request denied"`,
	} {
		if strings.Contains(commands, command) {
			shows(t, said, answer)
		}
	}
}

// runReaders runs what makes users of databases who only read, as those do in whose name a server
// has written there.
func runReaders(t *testing.T, commands string) {
	for line := range strings.Lines(strings.ReplaceAll(commands, "\\\n", "")) {
		engine := map[string]string{"psql": "postgres", "redis-cli": "redis"}[strings.Fields(line)[0]]
		engineNeeded(t, engine)
		database, err := databases[engine]()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(database.Close)
		t.Setenv("DATABASE_URL", database.URL)
		t.Setenv("REDIS_URL", strings.Replace(database.URL, "//:", "//default:", 1))
		t.Setenv("READER_URL", regexp.MustCompile(`//[^@]*@`).ReplaceAllString(database.URL, "//reader:password@"))
		c := newCaddy(t)
		server := "oauth_server {\nissuer %SITE%\nstore " + engine + " {env.DATABASE_URL}\nclient billing {\nsecret " + marker +
			"\ngrants client_credentials\naudience orders\n}\n}"
		c.mustLoad(server, "%SITE% {\noauth_token\n}\n")
		shell(t, c.dir, line)
		c.mustLoad(server, "%SITE% {\noauth_token\nhandle /other {\noauth_verify {\naudience orders\nissuer %SITE% {\ndiscovery\nrevocations from "+
			engine+" {env.READER_URL}\n}\n}\nrespond hi\n}\n}\n")
		token := c.token(marker)
		c.get(c.site+"/other", token).want(t, engine+": with the revocations that the reader reads", 200)
		c.administer("revocations", `{"token":"`+token+`"}`)
		for answer := c.get(c.site+"/other", token); answer.status != 401; answer = c.get(c.site+"/other", token) {
			if answer.status != 200 || t.Context().Err() != nil { // until the reader has read it
				t.Fatalf("%s: after the revocation: %d %s", engine, answer.status, answer.body)
			}
		}
	}
}

// runXcaddy requires that the packages are there which a line builds, and that they link these
// stores and no others, and go-redis with that of Redis alone.
func runXcaddy(stores ...string) func(*testing.T, string) {
	return func(t *testing.T, commands string) {
		dir := t.TempDir()
		shell(t, dir, commands, "xcaddy")
		words := strings.Fields(readFile(t, filepath.Join(dir, "xcaddy")))
		list := []string{"list", "-deps"}
		for i, word := range words {
			if i > 0 && words[i-1] == "--with" {
				list = append(list, word)
			} else if word != "build" && word != "--with" {
				t.Errorf("xcaddy has no %s", word)
			}
		}
		command := exec.CommandContext(t.Context(), "go", list...)
		command.Dir = root
		linked, err := command.Output()
		if err != nil || len(list) < 3 {
			t.Fatalf("%v: %v", list, err)
		}
		found := regexp.MustCompile(`(?m)/oauthstore/(\w+)$`).FindAllStringSubmatch(string(linked), -1)
		var names []string
		for _, m := range found {
			names = append(names, m[1])
		}
		slices.Sort(names)
		if redis := strings.Contains(string(linked), "/go-redis/"); !slices.Equal(names, stores) || redis != slices.Contains(stores, "redisstore") {
			t.Errorf("%v links %v, want %v, and go-redis: %t", list[2:], names, stores, redis)
		}
	}
}

// runBenchmarks requires that each part of the pattern of a line is the name of a benchmark, or of
// a test, in its packages.
func runBenchmarks(t *testing.T, commands string) {
	dir := t.TempDir()
	shell(t, dir, commands, "go")
	all := sources(t)
	for line := range strings.Lines(readFile(t, filepath.Join(dir, "benchmarks"))) {
		words := strings.Fields(line)
		below, several := strings.CutSuffix(strings.TrimPrefix(words[len(words)-1], "./"), "/...")
		var names strings.Builder
		for _, s := range all {
			if s.isTest() && (path.Dir(s.path) == below || several && s.under(below)) {
				for _, d := range s.file.Decls {
					if f, ok := d.(*ast.FuncDecl); ok {
						names.WriteString(f.Name.Name + "\n")
					}
				}
			}
		}
		kind, pattern := "Benchmark", regexp.MustCompile(`-bench (\S+)`).FindStringSubmatch(line)
		if pattern == nil {
			kind, pattern = "Test", regexp.MustCompile(`-run Test(\S+)`).FindStringSubmatch(line)
		}
		for part := range strings.SplitSeq(pattern[1], "|") {
			if !regexp.MustCompile(`(?m)^` + kind + `\w*` + part).MatchString(names.String()) {
				t.Errorf("%s: nothing is called %s", line, part)
			}
		}
	}
}

// runUnit runs the unit of docs/deploy by hand, on the Caddyfile and with the secrets of the page.
func runUnit(t *testing.T, commands string) {
	dir, err := os.MkdirTemp("", "unit") // short: a socket is in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	http, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	https, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	paths := strings.NewReplacer("/usr/local/bin/caddy run", dir+"/caddy start", "/usr/local/bin/caddy", dir+"/caddy", "/run/credentials/caddy-tokenep.service", dir+"/credentials",
		"/etc/caddy", dir+"/etc", "/var/lib/caddy", dir+"/state", "/run/caddy", dir)
	text := paths.Replace(blocks(t, "caddymodule/docs/deployment.md", "caddyfile")[0])
	text = strings.Replace(text, "{\n", "{\nlocal_certs\nskip_install_trust\ndefault_bind 127.0.0.1\nhttp_port "+http+"\nhttps_port "+https+"\n", 1)
	for _, folder := range []string{"etc", "state", "credentials"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "etc/Caddyfile"), text)
	writeFile(t, filepath.Join(dir, "unit.service"), paths.Replace(deployFile(t, "caddy-tokenep.service")))
	needed(t, "systemd-analyze")
	binary, err := exec.LookPath("caddy")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(dir, "caddy")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exec.Command("caddy", "stop", "--address", "unix/"+dir+"/admin.sock").Run() })
	said := shell(t, dir, paths.Replace(commands), "sudo", "systemctl")
	shows(t, said, "(?m)^KID +ALG", "ES256 +active")
	for _, secret := range []string{"encryption_key", "billing"} {
		if text := readFile(t, filepath.Join(dir, "etc/secrets", secret)); len(text) != 45 {
			t.Errorf("%s has %d bytes", secret, len(text))
		}
	}
}

// runImage requires that the lines build the Containerfile, and run the image with its volumes and
// its ports.
func runImage(t *testing.T, commands string) {
	dir := t.TempDir()
	shell(t, dir, commands, "podman")
	build, run := strings.Fields(readFile(t, filepath.Join(dir, "podman-build"))), strings.Fields(readFile(t, filepath.Join(dir, "podman-run")))
	after := func(words []string, option string) (values []string) {
		for i := range words[1:] {
			if words[i] == option {
				values = append(values, words[i+1])
			}
		}
		return values
	}
	containerfile := repositoryFile(t, strings.Join(after(build, "-f"), ""))
	if build[len(build)-1] != "." || !slices.Equal(after(build, "-t"), run[len(run)-1:]) {
		t.Errorf("%v\n%v", build, run)
	}
	for _, volume := range after(run, "-v") {
		inside := strings.Split(volume, ":")[1]
		if !strings.Contains(containerfile, `"`+inside) {
			t.Errorf("the image has no %s", inside)
		}
	}
	for _, port := range after(run, "-p") {
		if _, inside, _ := strings.Cut(port, ":"); !regexp.MustCompile(`(?m)^EXPOSE .*\b` + inside + `\b`).MatchString(containerfile) {
			t.Errorf("the image has no port %s", inside)
		}
	}
}

// runCluster has kubectl make the Secrets of the page, and asks a server of this process.
func runCluster(t *testing.T, commands string) {
	needed(t, "kubectl")
	c, _ := loadPage(t, "docs/api-tokens.md", 0)
	writeCertificate(t, c.dir, "tls", newCertificate(t, "api.example.com", nil))
	for name, text := range map[string]string{
		"database_password": "secret", "database_ca.pem": certificatePEM(newCertificate(t, "authority", nil)),
		"tls.crt": readFile(t, filepath.Join(c.dir, "tls.pem")), "front.yaml": deployFile(t, "front.yaml"),
	} {
		writeFile(t, filepath.Join(c.dir, name), text)
	}
	t.Setenv("KUBECONFIG", filepath.Join(c.dir, "none"))
	said := shell(t, c.dir, commands, "kubectl")
	shows(t, said, "kind: Namespace", "(?m)^  encryption_key: ", "(?m)^  billing: ", "(?m)^  database_password: ", "(?m)^  database_ca.pem: ",
		"(?m)^  tls.crt: ", "(?m)^  tls.key: ", "ES256 +active")
}
