package adapt

import (
	"strings"
	"testing"
)

// A comma is lawful in a URI (RFC 3986 §3.3), and in a list it is a mistake.
func TestCommasInAudiences(t *testing.T) {
	for _, row := range []struct {
		audience []string
		right    string // empty: it is accepted
	}{
		{[]string{"https://api.example.com/orders"}, ""},
		{[]string{"https://api.example.com/maps/@48.85,2.35"}, ""},
		{[]string{"https://api.example.com/matrix;a=1,b:2"}, ""},
		{[]string{"https://api.example.com/orders?fields=id,name", "https://api.example.com"}, ""},
		{[]string{"urn:example:a,b"}, ""},
		{[]string{"orders,invoices"}, "audience orders invoices"},
		{[]string{"orders,", "invoices"}, "audience orders invoices"},
		{[]string{"https://a.example,https://b.example"}, "audience https://a.example https://b.example"},
		{[]string{"https://a.example/x, https://b.example/y"}, "audience https://a.example/x https://b.example/y"},
		{[]string{"https://a.example/x,", "https://b.example/y,z"}, "audience https://a.example/x https://b.example/y,z"},
		{[]string{"https://a.example,b.example"}, "audience https://a.example b.example"},
		{[]string{"urn:example:a,urn:example:b"}, "audience urn:example:a urn:example:b"},
		{[]string{"api://a,https://b.example"}, "audience api://a https://b.example"},
		{[]string{"localhost:8080,localhost:9080"}, "audience localhost:8080 localhost:9080"},
	} {
		err := CheckAudience(row.audience, Line("audience"))
		if row.right == "" && err != nil || row.right != "" && (err == nil || !strings.HasSuffix(err.Error(), "write "+row.right)) {
			t.Errorf("%q: %v, want %q", row.audience, err, row.right)
		}
	}
}

// White space in an audience would look like two of them in every list.
func TestSpacesInAudiences(t *testing.T) {
	for _, row := range []struct {
		audience []string
		right    string
	}{
		{[]string{"a b"}, "audience a b"},
		{[]string{"orders", " https://a.example\t"}, "audience orders https://a.example"},
		{[]string{"a\u00a0b\n"}, "audience a b"},
	} {
		err := CheckAudience(row.audience, Line("audience"))
		if err == nil || !strings.HasSuffix(err.Error(), "no white space; write "+row.right) {
			t.Errorf("%q: %v, want %q", row.audience, err, row.right)
		}
	}
	if CheckAudience([]string{" "}, Line("audience")) == nil {
		t.Error("a space is taken for an audience")
	}
}

// A claim is a name, or a name and a value. Only the names of a directory have commas (RFC 4514).
func TestCommasInClaims(t *testing.T) {
	for claim, right := range map[string]string{
		"events":                           "",
		"https://a.example/role":           "",
		"groups=cn=admins,ou=x,dc=example": "",
		"events,at_hash":                   "c events at_hash",
		"events,":                          "c events",
		"token_use=id,at_hash":             "c token_use=id at_hash",
		"token_use=id,typ=ID":              "c token_use=id typ=ID",
		"a,typ=ID":                         "c a typ=ID",
	} {
		err := CheckClaims([]string{claim}, Line("c"))
		if right == "" && err != nil || right != "" && (err == nil || !strings.HasSuffix(err.Error(), "write "+right)) {
			t.Errorf("%q: %v, want %q", claim, err, right)
		}
	}
}

// Commas in paths and URNs are lawful, and between them they are a mistake.
func TestCommasInPaths(t *testing.T) {
	for path, good := range map[string]bool{"/a,b": true, "/a": true, "/a,/b": false, "/a,": false} {
		if err := CheckPaths([]string{path}, Line("path")); (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
	}
	for urn, good := range map[string]bool{"urn:a:b,c": true, "urn:a:b": true, "urn:a:b,urn:a:c": false} {
		if err := CheckURNs([]string{urn}, Line("token_type")); (err == nil) != good {
			t.Errorf("%s: %v", urn, err)
		}
	}
}

// Braces that are not those of a placeholder may be part of a name.
func TestRefusePlaceholders(t *testing.T) {
	for value, good := range map[string]bool{
		"{env.A}": false, "a{file./x}b": false, "{http.request.host}": false, "{$NAME}": true, "orders:{id}": true, "{": true, "": true,
	} {
		if err := RefusePlaceholders("scope", []string{value}); (err == nil) != good {
			t.Errorf("%s: %v", value, err)
		}
	}
}
