package oauthserver

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

const (
	marker = "Xyzzy-Plugh-29" // a literal secret that nothing else looks like

	argon2idOfAntitiming = "$argon2id$v=19$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg"
	bcryptOfAntitiming   = "$2a$14$X3ulqf/iGxnf1k6oMZ.RZeJUoqI9PX2PM4rS5lkIKJXduLGXGPrt6"
)

// A literal becomes a hash that Caddy's own module can read: always the same for a client, and
// another for another client.
func TestAdaptSecretLiteral(t *testing.T) {
	adapted := func(server, client, secret string) string {
		hash, err := adaptSecret(server, client, secret)
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	hash := adapted("default", "billing", marker)
	if again := adapted("default", "billing", marker); again != hash {
		t.Errorf("adapted again: %s and %s", hash, again)
	}
	for name, other := range map[string]string{
		"client": adapted("default", "shop", marker), "server": adapted("partners", "billing", marker), "secret": adapted("default", "billing", "x"),
		"shifted": adapted("defaul", "t\x00billing", marker),
	} {
		if other == hash {
			t.Errorf("another %s has the same hash", name)
		}
	}
	for secret, want := range map[string]bool{marker: true, marker + " ": false, "": false} {
		if right, err := (caddyauth.Argon2idHash{}).Compare([]byte(hash), []byte(secret)); right != want || err != nil {
			t.Errorf("%q: %v, %v", secret, right, err)
		}
		if right, err := compareHash([]byte(hash), []byte(secret)); right != want || err != nil {
			t.Errorf("compareHash %q: %v, %v", secret, right, err)
		}
	}
}

// A hash or a placeholder stays as it is. What only looks like one is an error, which does not show
// the value.
func TestAdaptSecret(t *testing.T) {
	generated := tokenep.HashSecret(marker)
	for _, c := range []struct {
		name, value, want string
		err               error
	}{
		{"argon2id", argon2idOfAntitiming, argon2idOfAntitiming, nil},
		{"bcrypt", bcryptOfAntitiming, bcryptOfAntitiming, nil},
		{"bcrypt in base64", base64.StdEncoding.EncodeToString([]byte(bcryptOfAntitiming)), bcryptOfAntitiming, nil},
		{"generated", generated, generated, nil},
		{"environment", "{env.SECRET}", "{env.SECRET}", nil},
		{"file", "{file./run/secrets/a}", "{file./run/secrets/a}", nil},
		{"placeholder and more", "{env.SECRET}x", "", errMixedSecret},
		{"two placeholders", "{env.A}{env.B}", "", errMixedSecret},
		{"argon2id without rounds", strings.Replace(argon2idOfAntitiming, "t=1", "t=0", 1), "", errBrokenHash},
		{"argon2id without threads", strings.Replace(argon2idOfAntitiming, "p=1", "p=0", 1), "", errBrokenHash},
		{"argon2id with too many threads", strings.Replace(argon2idOfAntitiming, "p=1", "p=256", 1), "", errBrokenHash},
		{"argon2id with too much memory", strings.Replace(argon2idOfAntitiming, "47104", "47104000", 1), "", errBrokenHash},
		{"argon2i", "$argon2i$v=19$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg", "", errBrokenHash},
		{"bcrypt cut short", bcryptOfAntitiming[:40], "", errBrokenHash},
	} {
		if got, err := adaptSecret("default", "billing", c.value); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

// A literal in JSON is an error. The value of a placeholder is hashed in memory, unless it is a
// hash.
func TestResolveSecret(t *testing.T) {
	t.Setenv("SECRET", marker)
	t.Setenv("HASH", bcryptOfAntitiming)
	t.Setenv("EMPTY", "")
	of, err := hashSecret("default", "billing", marker)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, value, want, err string }{
		{"literal", marker, "", "caddy hash-password"},
		{"environment", "{env.SECRET}", of, ""},
		{"environment with a hash", "{env.HASH}", bcryptOfAntitiming, ""},
		{"unset", "{env.NO_SUCH_VARIABLE}", "", "{env.NO_SUCH_VARIABLE}"},
		{"empty", "{env.EMPTY}", "", "{env.EMPTY}"},
		{"no file", "{file./no/such/file}", "", "{file./no/such/file}"},
		{"hash", argon2idOfAntitiming, argon2idOfAntitiming, ""},
		{"nothing", "", "", "caddy hash-password"},
	} {
		got, err := resolveSecret("default", "billing", c.value)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if err != nil && strings.Contains(err.Error(), marker) {
			t.Errorf("%s: the error shows the secret: %v", c.name, err)
		}
	}
}

// A decoy has the kind and the cost of a hash, and no other client's secret. A hash that takes too
// long has none.
func TestDecoy(t *testing.T) {
	const other = "$argon2id$v=19$m=8,t=2,p=3$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, c := range []struct{ name, hash, begins string }{
		{"argon2id", other, "$argon2id$v=19$m=8,t=2,p=3$"},
		{"argon2id of the default cost", argon2idOfAntitiming, "$argon2id$v=19$m=47104,t=1,p=1$"},
		{"argon2id of a high cost", strings.Replace(other, "m=8,t=2", "m=1048576,t=2", 1), ""},
		{"bcrypt", strings.Replace(bcryptOfAntitiming, "$14$", "$11$", 1), "$2a$11$"},
		{"bcrypt of another kind", strings.Replace(bcryptOfAntitiming, "$2a$14$", "$2y$05$", 1), "$2a$05$"},
		{"bcrypt of a high cost", strings.Replace(bcryptOfAntitiming, "$14$", "$12$", 1), ""},
		{"bcrypt of the highest cost", strings.Replace(bcryptOfAntitiming, "$14$", "$99$", 1), ""},
		{"generated", tokenep.HashSecret("a"), ""},
	} {
		hash := []byte(c.hash)
		got := string(decoy(hash))
		if !strings.HasPrefix(got, c.begins) || (got == "") != (c.begins == "") || string(hash) != c.hash {
			t.Errorf("%s: %q, want %q…", c.name, got, c.begins)
		}
		if got == "" {
			continue
		}
		if again := string(decoy([]byte(got))); again != got {
			t.Errorf("%s: the decoy of the decoy is %s", c.name, again)
		}
		if kept, err := asHash(got); kept != got || err != nil {
			t.Errorf("%s: %s is no hash: %v", c.name, got, err)
		}
	}
}

// bcrypt repeats a secret with a NUL behind each time, so that abc and abc, NUL, abc have one hash:
// what has a NUL is wrong.
func TestCompareHashNUL(t *testing.T) {
	const hash = "$2a$04$2QLQG7.Gz3GOdKS5wCiL3erXEBfWKVTQND8K3p.LK5UZkVKjr6K2O" // of abc
	for secret, want := range map[string]bool{"abc": true, "abc\x00abc": false, "abc\x00": false, "\x00": false, "": false} {
		if right, err := compareHash([]byte(hash), []byte(secret)); right != want || err != nil {
			t.Errorf("%q: %v, %v", secret, right, err)
		}
	}
}

// A bcrypt hash is of 72 bytes: a longer secret that begins with them is wrong.
func TestCompareHashLong(t *testing.T) {
	const hash = "$2a$04$an4gs0jAGtxaXEXwZa7KB.pT3CP67Q7XlLkNe0ZNfIUv48MGmB5Nu" // of 72 x
	for n, want := range map[int]bool{71: false, 72: true, 73: false, 100: false} {
		if right, err := compareHash([]byte(hash), []byte(strings.Repeat("x", n))); right != want || err != nil {
			t.Errorf("%d bytes: %v, %v", n, right, err)
		}
	}
}
