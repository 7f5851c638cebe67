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
