package directory_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
	"github.com/tokenep/caddy-tokenep/tokenep/user/directory"
)

const (
	people = "ou=people," + servertest.SlapdBase
	groups = "ou=groups," + servertest.SlapdBase
)

func person(uid, more string) string {
	return "dn: uid=" + uid + "," + people + "\nobjectClass: inetOrgPerson\nuid: " + uid + "\nsn: " + uid + "\ncn: " + uid + "\n" + more
}

// entries are the people and the groups of every directory here.
var entries = []string{
	"dn: " + people + "\nobjectClass: organizationalUnit\nou: people",
	"dn: " + groups + "\nobjectClass: organizationalUnit\nou: groups",
	person("ada", "mail: ada@example.com\nuserPassword: wonderland\nemployeeNumber: 7\ntitle: countess\ntitle: author"),
	person("bert", "userPassword: brecht\nemployeeNumber: 8"),
	person("bärbel", "userPassword: über"),
	person("locked", "employeeType: gone\nuserPassword: wonderland"),
	person("paper", "description: has no password"),
	person("twin", "uid: twins\nuserPassword: one\nemployeeNumber: 9"),
	"dn: cn=other," + people + "\nobjectClass: inetOrgPerson\nuid: other\nuid: twins\nsn: x\ncn: other\nuserPassword: two",
	"dn: cn=many," + people + "\nobjectClass: inetOrgPerson\nuid: many\nuid: several\nsn: x\ncn: many\nuserPassword: many",
	"dn: cn=staff," + groups + "\nobjectClass: groupOfNames\ncn: staff\nmember: uid=ada," + people + "\nmember: uid=bert," + people,
	"dn: cn=admins," + groups + "\nobjectClass: groupOfNames\ncn: admins\nmember: uid=ada," + people,
}

// slapd starts a directory with TLS, and returns what to ask of it.
func slapd(t testing.TB) (*servertest.Process, directory.Options) {
	t.Helper()
	files := servertest.NewTLS(t)
	secure := "ldaps://127.0.0.1:" + servertest.FreePort(t)
	p := servertest.For(t, servertest.Slapd, append([]string{
		secure, "TLSCertificateFile " + files.Cert, "TLSCertificateKeyFile " + files.Key, "TLSCACertificateFile " + files.CA,
	}, entries...)...)
	pem, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return p, directory.Options{
		URLs: []string{secure}, Roots: roots, Base: people, Filter: "(&(objectClass=person)(uid={name})(!(employeeType=gone)))",
		Bind: servertest.SlapdAdmin, Password: servertest.Password,
	}
}

func open(t testing.TB, o directory.Options) *directory.Directory {
	t.Helper()
	d, err := directory.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// RFC 4513: the directory says whether a password is that of the one entry with the name.
func TestAuthenticate(t *testing.T) {
	_, o := slapd(t)
	d := open(t, o)
	const yes, no, unknown = "yes", "no", "unknown"
	for _, tc := range []struct{ name, password, means, subject string }{
		{"ada", "wonderland", yes, "ada"},
		{"ADA", "wonderland", yes, "ada"}, // the directory tells no upper from lower case
		{"bärbel", "über", yes, "bärbel"},
		{"ada", "Wonderland", no, ""},
		{"ada", "brecht", no, ""},
		{"ada", "", no, ""}, // §5.1.2: an unauthenticated bind would succeed
		{"nobody", "wonderland", no, ""},
		{"nobody", "", no, ""},
		{"", "wonderland", no, ""},
		{"locked", "wonderland", no, ""}, // the filter leaves it out
		{"paper", "wonderland", no, ""},  // has no password
		{"twins", "one", unknown, ""},    // of two entries
		{"many", "many", unknown, ""},    // two values of the subject
	} {
		user, err := d.Authenticate(t.Context(), tc.name, tc.password)
		means := unknown
		switch {
		case err == nil:
			means = yes
		case errors.Is(err, tokenep.ErrNoUser):
			means = no
		}
		if means != tc.means || user.Subject != tc.subject {
			t.Errorf("%q %q: %s for %q (%v), want %s for %q", tc.name, tc.password, means, user.Subject, err, tc.means, tc.subject)
		}
	}
}

// RFC 4515 §3: whatever is typed is a value of the filter, and no part of it.
func TestInjection(t *testing.T) {
	_, o := slapd(t)
	o.Groups = &directory.Groups{Base: groups, Filter: "(|(member={dn})(description={name}))"}
	o.Claims = tokenep.ClaimSources{{Name: "groups", From: directory.GroupsAttribute, Scope: "groups"}}
	d := open(t, o)
	for _, name := range []string{
		"*", "a*", "ad?", "ada)(uid=*", "*)(uid=*))(|(uid=*", "ada)(!(uid=bert)", "ada))(|(objectClass=*", "(uid=ada)", "\\61da", "\\2a",
		"ada\x00", "\x00", "ada)(employeeType=gone", "*)(objectClass=*", "nobody)(|(uid=ada", "{dn}", "{name}", "uid=ada," + people, "&", "|", "!", "ada#", "ada,ou=people",
	} {
		for _, password := range []string{"wonderland", "brecht"} {
			if user, err := d.Authenticate(t.Context(), name, password); !errors.Is(err, tokenep.ErrNoUser) {
				t.Errorf("%q: %q, %v", name, user.Subject, err)
			}
		}
		if user, err := d.Find(t.Context(), name); !errors.Is(err, tokenep.ErrNoUser) {
			t.Errorf("to find %q: %q, %v", name, user.Subject, err)
		}
	}
}

// Attributes and groups become claims by what is configured, and by nothing else.
func TestClaims(t *testing.T) {
	_, o := slapd(t)
	o.Groups = &directory.Groups{Base: groups, Filter: "(member={dn})"}
	o.Claims = tokenep.ClaimSources{
		{Name: "email", From: "MAIL"}, {Name: "groups", From: directory.GroupsAttribute, Scope: "groups"}, {Name: "titles", From: "title", Scope: "groups"},
		{Name: "phone_number", From: "telephoneNumber"},
	}
	o.Subject = "employeeNumber"
	d := open(t, o)
	ada := `{"email":"ada@example.com","groups":["admins","staff"],"titles":["countess","author"]}`
	for _, ask := range []func() (tokenep.User, error){
		func() (tokenep.User, error) { return d.Authenticate(t.Context(), "ada", "wonderland") },
		func() (tokenep.User, error) { return d.Find(t.Context(), "7") },
	} {
		user, err := ask()
		if err != nil || user.Subject != "7" {
			t.Fatalf("%q: %v", user.Subject, err)
		}
		if list, ok := user.Claims["groups"].([]string); ok { // in no order
			slices.Sort(list)
		}
		if got, _ := json.Marshal(user.Claims); string(got) != ada {
			t.Errorf("%s, want %s", got, ada)
		}
	}
	user, err := d.Authenticate(t.Context(), "bert", "brecht")
	if got, _ := json.Marshal(user.Claims); err != nil || string(got) != `{"groups":["staff"]}` {
		t.Errorf("one group is no list: %s, %v", got, err)
	}
}

// Whoever the filter leaves out, or is no more, is gone; a directory that is away says nothing.
func TestFind(t *testing.T) {
	p, o := slapd(t)
	d := open(t, o)
	if user, err := d.Find(t.Context(), "ada"); err != nil || user.Subject != "ada" {
		t.Errorf("%q: %v", user.Subject, err)
	}
	for _, gone := range []string{"nobody", "locked", ""} {
		if _, err := d.Find(t.Context(), gone); !errors.Is(err, tokenep.ErrNoUser) {
			t.Errorf("%q: %v", gone, err)
		}
	}
	p.Kill()
	if _, err := d.Find(t.Context(), "ada"); err == nil || errors.Is(err, tokenep.ErrNoUser) {
		t.Errorf("while the directory is away: %v", err)
	}
	if _, err := d.Authenticate(t.Context(), "ada", "wonderland"); err == nil || errors.Is(err, tokenep.ErrNoUser) {
		t.Errorf("while the directory is away: %v", err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authenticate(t.Context(), "ada", "wonderland"); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

// A connection is encrypted, with a server whose certificate is verified, before anything is said.
func TestTLS(t *testing.T) {
	p, o := slapd(t)
	plain := o
	plain.URLs = []string{p.URL}
	if _, err := open(t, plain).Authenticate(t.Context(), "ada", "wonderland"); err != nil {
		t.Errorf("StartTLS: %v", err)
	}
	for _, url := range []string{p.URL, o.URLs[0]} {
		unknown := o
		unknown.URLs, unknown.Roots = []string{url}, x509.NewCertPool()
		if _, err := open(t, unknown).Authenticate(t.Context(), "ada", "wonderland"); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s, of an unknown authority: %v", url, err)
		}
		misnamed := o
		misnamed.URLs = []string{strings.Replace(url, "127.0.0.1", "localhost", 1)}
		if _, err := open(t, misnamed).Authenticate(t.Context(), "ada", "wonderland"); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s, of another name: %v", misnamed.URLs[0], err)
		}
	}
	bare := servertest.For(t, servertest.Slapd, entries...)
	plain.URLs = []string{bare.URL}
	if _, err := open(t, plain).Authenticate(t.Context(), "ada", "wonderland"); err == nil || !strings.Contains(err.Error(), "StartTLS") {
		t.Errorf("a server that does not know TLS: %v", err)
	}
	plain.InsecurePlain = true
	if _, err := open(t, plain).Authenticate(t.Context(), "ada", "wonderland"); err != nil {
		t.Errorf("insecure_plain: %v", err)
	}
}

// Of several servers the first that can be reached is asked, and whoever is asked, the service
// account must be right: a wrong one refuses nobody.
func TestServers(t *testing.T) {
	_, o := slapd(t)
	several := o
	several.URLs = []string{"ldaps://127.0.0.1:" + servertest.FreePort(t), o.URLs[0]}
	if _, err := open(t, several).Authenticate(t.Context(), "ada", "wonderland"); err != nil {
		t.Error(err)
	}
	wrong := o
	wrong.Password = "wrong"
	if _, err := open(t, wrong).Authenticate(t.Context(), "ada", "wonderland"); err == nil || errors.Is(err, tokenep.ErrNoUser) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong password of the service account: %v", err)
	}
	anonymous := o
	anonymous.Bind, anonymous.Password = "", ""
	if _, err := open(t, anonymous).Authenticate(t.Context(), "ada", "wonderland"); err != nil {
		t.Errorf("without a service account: %v", err)
	}
}

// A server that hangs is given up after the time-out: one that answers nothing, one that stops in
// the middle, and one that cannot be closed in peace either.
func TestHangs(t *testing.T) {
	p, o := slapd(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p.Pause()
	for _, url := range []string{"ldaps://" + l.Addr().String(), "ldap://" + l.Addr().String(), o.URLs[0], p.URL} {
		o.URLs, o.Timeout = []string{url}, 200*time.Millisecond
		start := time.Now()
		_, err := open(t, o).Authenticate(t.Context(), "ada", "wonderland")
		if took := time.Since(start); err == nil || errors.Is(err, tokenep.ErrNoUser) || took > 5*time.Second {
			t.Errorf("%s: %v after %s", url, err, took)
		}
	}
	o.URLs, o.Timeout = []string{"ldap://" + l.Addr().String()}, time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	if _, err := open(t, o).Authenticate(ctx, "ada", "wonderland"); err == nil || time.Since(start) > 30*time.Second {
		t.Errorf("one who gives up: %v after %s", err, time.Since(start))
	}
}
