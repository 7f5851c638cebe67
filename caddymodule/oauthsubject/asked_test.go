package oauthsubject_test

import (
	"testing"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/remote"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
)

// Which addresses a source may have, wherever its name leads: a name that resolves to another one
// tomorrow changes nothing.
func TestAddressesOfSources(t *testing.T) {
	for _, tc := range []struct {
		url       string
		addresses []string
		dialed    string
		allowed   bool
	}{
		{"https://idp.example/", nil, "93.184.216.34:443", true},
		{"https://idp.example/", nil, "127.0.0.1:443", false},
		{"https://idp.example/", nil, "10.0.0.5:443", false},
		{"https://idp.example/", nil, "169.254.169.254:443", false},
		{"https://idp.example/", nil, "[::1]:443", false},
		{"https://idp.example/", nil, "[fd00::1]:443", false},
		{"https://idp.example/", nil, "[::ffff:10.0.0.5]:443", false},
		{"https://idp.example/", []string{"10.0.0.0/8"}, "10.0.0.5:443", true},
		{"https://idp.example/", []string{"10.0.0.0/8"}, "192.168.0.5:443", false},
		{"https://10.0.0.5/", nil, "10.0.0.5:443", true},
		{"https://10.0.0.5/", nil, "10.0.0.6:443", false},
		{"http://localhost:8080/", nil, "127.0.0.1:8080", true},
		{"http://localhost:8080/", nil, "10.0.0.5:8080", false},
	} {
		o, err := (&oauthsubject.Asked{Asked: remote.Asked{Addresses: tc.addresses}}).Resolve("http", tc.url)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Control("tcp", tc.dialed, nil); (err == nil) != tc.allowed {
			t.Errorf("%s, with %q, at %s: %v", tc.url, tc.addresses, tc.dialed, err)
		}
	}
}
