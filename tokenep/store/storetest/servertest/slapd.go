package servertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// SlapdBase is the suffix of the directory of a Slapd, and SlapdAdmin may do everything in it, with
// Password.
const (
	SlapdBase  = "dc=example,dc=com"
	SlapdAdmin = "cn=admin,dc=example,dc=com"
)

// Slapd starts an LDAP directory. A setting is an entry (LDIF, which begins with "dn: "), a further
// URL at which it listens (ldaps://127.0.0.1:…), or a line of slapd.conf.
func Slapd(settings ...string) (*Process, error) {
	slapd, slapadd, err := findSlapd()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "slapd")
	if err != nil {
		return nil, err
	}
	entries := []string{"dn: " + SlapdBase + "\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example"}
	var lines, urls []string
	for _, setting := range settings {
		switch {
		case strings.HasPrefix(setting, "dn: "):
			entries = append(entries, setting)
		case strings.HasPrefix(setting, "ldaps://"):
			urls = append(urls, setting)
		default:
			lines = append(lines, setting)
		}
	}
	if err := prepareSlapd(slapadd, dir, entries, lines); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return launch(dir, func(port string) *Process {
		url := "ldap://127.0.0.1:" + port
		return &Process{
			URL: url,
			command: func() *exec.Cmd {
				listen := strings.Join(append([]string{url}, urls...), " ")
				return exec.Command(slapd, "-d", "0", "-f", filepath.Join(dir, "slapd.conf"), "-h", listen) //nolint:gosec // as found in PATH
			},
			ping: func(context.Context) error {
				c, err := ldap.DialURL(url)
				if err != nil {
					return err
				}
				return c.Close()
			},
		}
	})
}

// prepareSlapd writes the configuration and the entries.
func prepareSlapd(slapadd, dir string, entries, lines []string) error {
	const schema, modules = "/etc/ldap/schema/", "/usr/lib/ldap"
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	config := strings.Join(append([]string{
		"include " + schema + "core.schema", "include " + schema + "cosine.schema", "include " + schema + "inetorgperson.schema",
		"modulepath " + modules, "moduleload back_mdb", "pidfile " + filepath.Join(dir, "slapd.pid"), "loglevel none",
	}, append(lines,
		"database mdb", "suffix "+SlapdBase, "rootdn "+SlapdAdmin, "rootpw "+Password, "directory "+data,
		"access to attrs=userPassword by anonymous auth", "access to * by dn.base="+SlapdAdmin+" write by users read by anonymous read")...), "\n")
	file, ldif := filepath.Join(dir, "slapd.conf"), filepath.Join(dir, "entries.ldif")
	for name, text := range map[string]string{file: config + "\n", ldif: strings.Join(entries, "\n\n") + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	out, err := exec.Command(slapadd, "-f", file, "-l", ldif).CombinedOutput() //nolint:gosec // as found in PATH
	if err != nil {
		return fmt.Errorf("slapadd: %w: %s", err, out)
	}
	return nil
}

// findSlapd looks where Debian has them, which is in the PATH of root alone.
func findSlapd() (slapd, slapadd string, err error) {
	for i, name := range []string{"slapd", "slapadd"} {
		path, err := exec.LookPath(name)
		if err != nil {
			path, err = exec.LookPath("/usr/sbin/" + name)
		}
		if err != nil {
			return "", "", fmt.Errorf("%s is %w: apt-get install slapd", name, ErrMissing)
		}
		if i == 0 {
			slapd = path
		} else {
			slapadd = path
		}
	}
	return slapd, slapadd, nil
}
