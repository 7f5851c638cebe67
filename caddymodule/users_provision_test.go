package caddymodule_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong with users when a configuration is loaded: placeholders, files, and what only JSON
// can say. No error shows a secret.
func TestUsersProvisionErrors(t *testing.T) {
	const hash = "$argon2id$v=19$m=8,t=1,p=1$ipBXIkWLk8WGxaaqypWD9g$/YCnL1MH/T9mUq2uTvF51lHNvCI1o7W0QRh5Bd0/a+0"
	t.Setenv("PLAIN", marker)
	t.Setenv("WRONG", "https://"+marker+":x@shop.example")
	c := newCaddy(t)
	writeFile(t, filepath.Join(c.dir, "bad.htpasswd"), "# users\nada:"+marker+"\n")
	writeFile(t, filepath.Join(c.dir, "empty.pem"), marker)
	inline := func(user string) string { return `{"module":"inline","users":[` + user + `]}` }
	http := func(more string) string {
		return `{"module":"http","url":"https://shop.example/login","subject":"id"` + more + `}`
	}
	ldap := func(more string) string {
		return `{"module":"ldap","urls":["ldaps://ldap.example"],"base":"dc=example","filter":"(uid={name})"` + more + `}`
	}
	for _, row := range []struct{ name, users, want string }{
		{"no module", `{"module":"floppy"}`, "unknown module: oauth_server.users.floppy"},
		{"nobody", inline(""), "there is no user"},
		{"a literal password", inline(`{"name":"ada","hash":"` + marker + `"}`), `user "ada": a password must not be in the configuration; make its hash with caddy hash-password`},
		{"a placeholder for a password", inline(`{"name":"ada","hash":"{env.PLAIN}"}`), `user "ada": a password must not be`},
		{"a placeholder for nothing", inline(`{"name":"ada","hash":"{env.NO_SUCH_VARIABLE}"}`), `user "ada": the hash`},
		{"a name for clients", inline(`{"name":"client:ada","hash":"` + hash + `"}`), "which is for clients"},
		{"a name in two forms", inline(`{"name":"a\u0308da","hash":"` + hash + `"}`), "normalization form C"},
		{"a name twice", inline(`{"name":"ada","hash":"` + hash + `"},{"name":"ada","hash":"` + hash + `"}`), "given twice"},
		{"an attribute for nothing", inline(`{"name":"ada","hash":"` + hash + `","attributes":{"mail":["x"]}}`), "no claim tells the attribute mail"},
		{"an unknown member", inline(`{"name":"ada","password":"` + hash + `"}`), "password"},
		{"no path", `{"module":"htpasswd"}`, "htpasswd: the path is missing"},
		{"no file", `{"module":"htpasswd","path":"` + c.dir + `/none"}`, "none"},
		{"a bad line", `{"module":"htpasswd","path":"` + c.dir + `/bad.htpasswd"}`, "bad.htpasswd: line 2: the hash is not bcrypt; make it with htpasswd -B"},
		{"no URL", `{"module":"http","subject":"id"}`, "http: url is missing"},
		{"a URL with a password", `{"module":"http","url":"{env.WRONG}","subject":"id"}`, "without user name and fragment"},
		{"no subject", `{"module":"http","url":"https://shop.example/login"}`, "nothing says who a person is"},
		{"a rule without a status", http(`,"yes":[{"member":"ok","value":"true"}]`), "yes: a rule must have a status"},
		{"gone without find", http(`,"gone":[{"statuses":[404]}]`), "about find"},
		{"a short recheck", http(`,"find":"https://shop.example/{subject}","recheck":1000`), "recheck: the time must be 1s or more"},
		{"a header unset", http(`,"header":{"X-Key":"{env.NO_SUCH_VARIABLE}"}`), "http: header X-Key"},
		{"an authority without a certificate", http(`,"ca":"` + c.dir + `/empty.pem"`), "it has no certificate"},
		{"no server", `{"module":"ldap","base":"dc=example","filter":"(uid={name})"}`, "ldap: there is no URL"},
		{"a literal password of the directory", ldap(`,"bind":"cn=reader","password":"` + marker + `"`), "must be one placeholder"},
		{"no password of the directory", ldap(`,"bind":"cn=reader","password":"{env.NO_SUCH_VARIABLE}"`), "ldap: the password of bind"},
		{"a malformed filter", ldap(`,"groups":{"base":"dc=example","filter":"(member={dn}"}`), "it must be a filter"},
		{"a negative number of requests", ldap(`,"requests":-1`), "the number must be 1 to 1024"},
	} {
		err := c.validate([]byte(`{"storage":{"module":"file_system","root":"` + c.dir + `"},"apps":{"oauth_server":{"servers":{"default":{
			"issuer":"https://auth.example","store":{"module":"memory"},"users":` + row.users + `}}}}}`))
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), marker) {
			t.Errorf("%s: %v; want %s", row.name, err, row.want)
		}
	}
}
