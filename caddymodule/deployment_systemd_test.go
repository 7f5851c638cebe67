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

// besideTheUnit is set where a test runs as root of the machine of TestDeploymentUnitRuns.
const besideTheUnit = "BESIDE_THE_UNIT"

// machineFiles are the files of that machine, which has /usr of this one, and nothing else. It has
// no network: its api.example.com is itself, with a certificate that another program renews, for
// which the page has a drop-in.
var machineFiles = map[string]string{
	"etc/os-release":    "ID=test\n",
	"etc/passwd":        "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
	"etc/group":         "root:x:0:\nnogroup:x:65534:\n",
	"etc/nsswitch.conf": "passwd: files systemd\ngroup: files systemd\nhosts: files\n",
	"etc/hosts":         "127.0.0.1 localhost api.example.com\n",
	"etc/machine-id":    strings.Repeat("1", 32) + "\n",
	"etc/systemd/system/caddy-tokenep.service.d/override.conf": `[Service]
LoadCredential=tls.pem:/etc/caddy/tls.pem
LoadCredential=tls.key:/etc/caddy/tls.key
LogsDirectory=caddy
ExecStartPost=/bin/sh /etc/caddy/probe
`,
	// What the service can do, which it writes where it may.
	"etc/caddy/probe": `exec >/var/lib/caddy/probe 2>/dev/null
find / -path /usr -prune -o -path /proc -prune -o -path '/var/lib/private/caddy/*' -prune -o -type d -writable -print | sed s/^/writes:/
for folder in /home /root /etc/caddy/secrets; do ls $folder && echo reads:$folder; done
[ -e /proc/1 ] && echo sees other processes
touch /usr/x && echo writes:/usr
cp /bin/true /var/lib/caddy/true
chmod u+s /var/lib/caddy/true && echo gives its rights away
unshare -U true && echo makes namespaces
setarch -R true && echo changes its personality
perl -e 'socket(S, 16, 3, 0) or exit 1' && echo has sockets of another family
taskset -p 1 $$ >/dev/null && echo takes resources
echo done
`,
	"etc/systemd/system/walk.service": `[Unit]
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
Environment=PATH=/usr/local/bin:/usr/sbin:/usr/bin HOME=/root GORACE=atexit_sleep_ms=0 ` + besideTheUnit + `=1
WorkingDirectory=/walk
ExecStart=/usr/local/bin/caddymodule.test -test.v -test.run=^TestDeploymentUnitRuns$
StandardOutput=append:/walk/out
StandardError=append:/walk/out
`,
}

// TestDeploymentUnitRuns boots a systemd in namespaces of its own, does there what the page says,
// and requires that the unit keeps what the page promises of it.
func TestDeploymentUnitRuns(t *testing.T) {
	if os.Getenv(besideTheUnit) != "" {
		walkTheUnit(t)
		return
	}
	nspawn := needed(t, "systemd-nspawn")
	if os.Getuid() != 0 {
		lacks(t, "only root can boot a systemd")
	}
	dir := t.TempDir()
	machine, programs := filepath.Join(dir, "machine"), filepath.Join(dir, "programs")
	for _, folder := range []string{programs, machine + "/etc/systemd/system/caddy-tokenep.service.d", machine + "/etc/caddy", machine + "/usr",
		machine + "/walk", machine + "/root", machine + "/home", machine + "/var/backups"} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"machine/bin": "usr/bin", "machine/sbin": "usr/sbin", "machine/lib": "usr/lib", "machine/lib64": "usr/lib64",
		"programs/caddy": "/walk/program", "programs/caddymodule.test": "/walk/program"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) {
		writeFile(t, filepath.Join(machine, name), text)
		if err := os.Chmod(filepath.Join(machine, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range machineFiles {
		put(name, text)
	}
	const page = "caddymodule/docs/deployment.md"
	put("etc/systemd/system/caddy-tokenep.service", deployFile(t, "caddy-tokenep.service"))
	const credentials = "/run/credentials/caddy-tokenep.service/tls."
	put("etc/caddy/Caddyfile", strings.Replace(blocks(t, page, "caddyfile")[0], "\napi.example.com {\n",
		"\napi.example.com {\n\ttls "+credentials+"pem "+credentials+"key\n\tlog {\n\t\toutput file /var/log/caddy/access.log\n\t}\n", 1))
	writeCertificate(t, filepath.Join(machine, "etc/caddy"), "tls", newCertificate(t, "api.example.com", nil))
	for _, commands := range blocks(t, page, "sh") {
		for name, has := range map[string]string{"install": "enable --now", "upgrade": "caddy validate", "back": "caddy oauth restore"} {
			if strings.Contains(commands, has) {
				put("walk/"+name, commands)
			}
		}
	}
	// One at a time, since two would have one control group; and none that hangs, or outlives what
	// has started it.
	said, err := exec.Command("flock", filepath.Join(os.TempDir(), "caddy-tokenep-systemd.lock"), "timeout", "--signal=KILL", "120",
		"unshare", "--pid", "--fork", "--kill-child", "--mount-proc", nspawn,
		"--quiet", "--register=no", "--keep-unit", "--machine=caddy-tokenep", "--private-network", "--directory="+machine, "--bind-ro=/usr",
		"--bind-ro="+own+":/walk/program", "--bind="+programs+":/usr/local/bin", "--console=pipe", "--boot", "--", "--unit=walk.service").CombinedOutput()
	if out, unread := os.ReadFile(filepath.Join(machine, "walk/out")); unread != nil {
		lacks(t, "this machine does not let a systemd boot: ", err, ": ", string(said))
	} else if err != nil || !strings.Contains(string(out), "--- PASS: TestDeploymentUnitRuns ") {
		t.Errorf("%v: %s\n%s", err, said, out)
	}
}

// walkTheUnit is what happens on the machine.
func walkTheUnit(t *testing.T) {
	run := func(commands string) string {
		t.Helper()
		return strings.TrimSpace(shell(t, "/walk", commands, "sudo"))
	}
	page := func(name string) string {
		t.Helper()
		return run(readFile(t, "/walk/"+name))
	}
	is := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, expected %s", what, got, want)
		}
	}
	property := func(name string) string { return run("systemctl show --value -p " + name + " caddy-tokenep") }
	const secret = "/etc/caddy/secrets/billing"
	// token asks for one, with retries while nobody listens.
	token := func(secret string) string {
		t.Helper()
		return run(`curl -sSk --retry 20 --retry-delay 1 --retry-all-errors -u "billing:` + secret + `" -d grant_type=client_credentials https://api.example.com/oauth/token`)
	}
	const keys = "caddy oauth key list --address unix//run/caddy/admin.sock"

	shows(t, page("install"), `ES256 +active`)
	first, pid, ring := strings.TrimSpace(readFile(t, secret)), property("MainPID"), run(keys)
	shows(t, token(first), `"access_token".*"scope":"orders:read"`)

	// It has no rights but to the ports.
	status := readFile(t, "/proc/"+pid+"/status")
	shows(t, status, `CapPrm:\s0{13}400\n`, `CapEff:\s0{13}400\n`, `CapBnd:\s0{13}400\n`, `NoNewPrivs:\s1\n`, `Seccomp:\s2\n`)
	if regexp.MustCompile(`Uid:.*\b0\b`).MatchString(status) {
		t.Error(status)
	}
	is("the service", run("sort /var/lib/caddy/probe"), strings.Join([]string{"done", "writes:/dev/mqueue", "writes:/run/caddy",
		"writes:/tmp", "writes:/var/lib/private/caddy", "writes:/var/log/private/caddy", "writes:/var/tmp"}, "\n"))
	is("what others may", run("setpriv --reuid=nobody --clear-groups cat /run/credentials/caddy-tokenep.service/billing 2>/dev/null || echo nothing"), "nothing")
	is("the log", run("grep -c /oauth/token /var/log/caddy/access.log"), "1")

	// A reload breaks nothing, and a restart is for secrets.
	run("sed -i s/orders:read/orders:write/ /etc/caddy/Caddyfile; openssl rand -base64 32 >" + secret + "; systemctl reload caddy-tokenep")
	second := strings.TrimSpace(readFile(t, secret))
	shows(t, token(first), `"scope":"orders:write"`)
	shows(t, token(second), "invalid_client")
	run("cp /etc/caddy/Caddyfile good; sed -i s/grants/grnats/ /etc/caddy/Caddyfile; ! systemctl reload caddy-tokenep; cp good /etc/caddy/Caddyfile")
	shows(t, token(first), `"scope":"orders:write"`)
	is("after reloads", property("MainPID"), pid)
	run("systemctl restart caddy-tokenep")
	shows(t, token(second), `"access_token"`)

	// It comes back, which systemd counts.
	run("kill -9 " + property("MainPID"))
	shows(t, token(second), `"access_token"`)
	is("restarts", property("NRestarts"), "1")
	is("keys", run(keys), ring)

	run("cp /usr/local/bin/caddy .")
	page("upgrade")
	run("caddy oauth client add reports --grant client_credentials --address unix//run/caddy/admin.sock")
	page("back")
	is("clients", run("caddy oauth client list --address unix//run/caddy/admin.sock | cut -d ' ' -f 1"), "ID\nbilling")
	is("keys", run(keys), ring)

	// Nothing is left but its state.
	run("systemctl stop caddy-tokenep")
	is("the end", property("Result")+" "+property("ExecMainStatus"), "success 0")
	is("the user", run("getent passwd caddy || echo gone"), "gone")
	is("the socket", run("[ -e /run/caddy ] || echo gone"), "gone")
	run("rm -r /var/lib/caddy /var/lib/private/caddy; mv /usr/local/bin/caddy /usr/local/bin/caddy.before")
	page("back")
	is("keys on a new machine", run(keys), ring)
	// What is wrong is in the journal.
	run("rm " + secret + "; ! systemctl restart caddy-tokenep")
	shows(t, run("journalctl --sync; journalctl -u caddy-tokenep -n 20"), "243/CREDENTIALS")
	fmt.Println(run("systemctl --version | head -n 1"))
}
