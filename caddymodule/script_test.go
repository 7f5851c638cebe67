package caddymodule_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// The scripts under testdata/script drive a real Caddy process, one script for each feature, and
// read as the manual: a comment says the behaviour and its RFC section, then come commands and what
// they answer. Run one with
//
//	go test -tags=nobadger,nomysql,nopgx -run TestScript/cli_client ./caddymodule
//
// Beside the commands of testscript (exec, stdin, stdout, stderr, grep, cmp, env, …) there are:
//
//	caddy ARGS…
//	    runs the binary under test, with a home and an admin address ($CADDY_ADMIN) of the
//	    script's own. The repository is $REPOSITORY.
//	freeport NAME…
//	    sets each variable to a free loopback port. A Caddyfile reads it as {$NAME}.
//	caddy-run CADDYFILE
//	    starts Caddy, and returns when the configuration is loaded. The log is appended to
//	    caddy.log.
//	! caddy-run CADDYFILE
//	    expects that the configuration is refused; stderr is the log.
//	caddy-run CADDYFILE NAME…
//	    starts several at once. Each has an address of its own, which is $NAME in the script and
//	    {$SITE} in the Caddyfile, an admin address $NAME_ADMIN, a home, and a log NAME.log. It
//	    keeps them when it is started again, after caddy-kill NAME…
//	caddy-reload CADDYFILE
//	    loads a configuration into the running Caddy, even if it has not changed.
//	caddy-stop
//	    asks Caddy to stop, and waits for it.
//	caddy-kill
//	    ends Caddy as kill -9 does.
//	http METHOD URL [-H 'Name: value']… [-u user:password] [-d body | -json body] [-status code]
//	    makes a request. stdout is the body, stderr the status line and the header. A body is a
//	    form unless it is -json. Without -status any 2xx is expected, and with ! anything else. -n
//	    COUNT makes as many requests at once, each of which must be as expected. -within DURATION
//	    repeats them until they are, for no longer than that, and -eventually for some seconds.
//	    -background does not wait for the answer: http-wait does. -browser NAME makes it in a
//	    browser, which keeps cookies and follows redirects to other paths of the same server.
//	raw ADDRESS FILE
//	    sends the bytes of a file, with variables replaced and lines ended by CRLF. stdout is the
//	    answer.
//	upstream NAME
//	    starts an API that answers with the request it has received: its lines, its body, its
//	    trailers. $NAME is its address. A request for /hold is answered after a request for /held,
//	    which is answered as soon as there is a held one, and a request for /release.
//	database NAME
//	    starts a private redis or postgres. Its address is in $DATABASE_URL, $DATABASE_PORT and
//	    $DATABASE_PASSWORD. database-kill ends it as kill -9 does, and database-start starts it
//	    again. The conditions [redis] and [postgres] say whether it is installed. After
//	    database-reader NAME there is a user who only reads, whose address is in $NAME; Redis
//	    forgets it when it ends.
//	xcaddy
//	    builds Caddy as users do, which caddy-run starts from here on. It takes minutes: the
//	    condition [xcaddy] says whether it is wanted.
//	jwt TOKEN
//	    prints the header and the claims of a JWT as indented JSON, members sorted. It does not
//	    verify the token.
//	jwks KEY…
//	    prints the public keys, as a JWK Set. A key is made when its name is first used; the name
//	    is its kid.
//	assertion KEY CLIENT AUDIENCE
//	    prints an assertion of the client, signed with the key.
//	access-token [-typ TYP] [-secret SECRET] KEY CLAIM=VALUE…
//	    prints an access token of an issuer elsewhere (RFC 9068), or another JWT, signed with the
//	    key, or by an HMAC. A value is JSON or text; now+60 is in a minute, and null takes a claim
//	    out.
//	dpop KEY METHOD URL [-token TOKEN] [-nonce NONCE]
//	    prints a DPoP proof of a client's key, which is made when its name is first used.
//	save NAME [PATH]
//	    sets a variable to the last stdout without its line end, or to a member of it as JSON:
//	    a.b.0
//	capture NAME stdout|stderr REGEXP
//	    sets a variable to what the first group of the expression matches in the last stdout or
//	    stderr.
//
// A variable is replaced outside of single quotes: 'Authorization: Bearer '$TOKEN. To give a
// command a secret on stdin:
//
//	exec echo $SECRET
//	stdin stdout
//	caddy oauth token --client billing
func TestScript(t *testing.T) { runScripts(t, "testdata/script", "") }

// TestClusterScript runs the scripts of testdata/cluster on each engine that several machines can
// share: its name is in $ENGINE.
func TestClusterScript(t *testing.T) {
	for _, engine := range []string{"redis", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			engineNeeded(t, engine)
			t.Parallel()
			runScripts(t, "testdata/cluster", engine)
		})
	}
}

func runScripts(t *testing.T, dir, engine string) {
	testscript.Run(t, testscript.Params{
		Dir:                dir,
		Setup:              func(env *testscript.Env) error { env.Setenv("ENGINE", engine); return setUpScript(env) },
		RequireUniqueNames: true,
		Condition:          scriptCondition,
		UpdateScripts:      os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeport":     scriptFreePort,
			"caddy-run":    scriptCaddyRun,
			"caddy-reload": scriptCaddyReload,
			"caddy-stop":   scriptCaddyStop,
			"caddy-kill":   scriptCaddyKill,
			"http":         scriptHTTP,
			"http-wait":    scriptHTTPWait,
			"raw":          scriptRaw,
			"upstream":     scriptUpstream,
			"jwt":          scriptJWT,
			"jwks":         scriptJWKS,
			"assertion":    scriptAssertion,
			"access-token": scriptAccessToken,
			"dpop":         scriptDPoP,
			"exits":        scriptExits,
			"save":         scriptSave,
			"capture":      scriptCapture,

			"iceberg":        runProgram("iceberg"),
			"mcp":            runProgram("mcp"),
			"database":       scriptDatabase,
			"database-kill":  scriptDatabaseKill,
			"database-start": scriptDatabaseStart,

			"database-reader": scriptDatabaseReader,
			"xcaddy":          scriptXcaddy,
		},
	})
}

// scriptExits runs a command that must fail with an exit code: exits 3 caddy oauth key list.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	failed, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		ts.Fatalf("it did not fail: %v", err)
	}
	if code := strconv.Itoa(failed.ExitCode()); code != args[0] {
		ts.Fatalf("it exits with %s, want %s", code, args[0])
	}
}

// TestMain makes the test binary double as Caddy: under the name caddy it is the command line, with
// the modules of the plugin.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"caddy": caddycmd.Main})
}

// setUpScript has Caddy write inside the script's directory, with its admin API on a port of its
// own.
func setUpScript(env *testscript.Env) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	repository, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"REPOSITORY":      repository,
		"HOME":            filepath.Join(env.WorkDir, "home"),
		"XDG_DATA_HOME":   filepath.Join(env.WorkDir, "home", "data"),
		"XDG_CONFIG_HOME": filepath.Join(env.WorkDir, "home", "config"),
		"CADDY_ADMIN":     "127.0.0.1:" + port,
		// Without this each command takes a second more with the race detector.
		"GORACE": "atexit_sleep_ms=0",
	} {
		env.Setenv(name, value)
		if strings.HasPrefix(value, env.WorkDir) {
			if err := os.MkdirAll(value, 0o700); err != nil {
				return err
			}
		}
	}
	env.Values[scriptStateKey{}] = &scriptState{binary: "caddy", caddys: make(map[string]*process), browsers: make(map[string]*scriptBrowser)}
	env.Values[scriptKeysKey{}] = make(scriptKeys)
	env.Values[scriptProversKey{}] = scriptProvers{}
	env.Values[databaseKey{}] = new(*servertest.Process)
	return nil
}
