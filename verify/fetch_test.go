package verify_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 8414 §2: a URL of keys is https, and http on this machine alone: at names below localhost too
// (RFC 6761 §6.3).
func TestJWKSURI(t *testing.T) {
	for uri, good := range map[string]bool{
		"https://idp.example/jwks": true, "https://idp.example:8443/keys?appid=1": true, "http://localhost:8080/jwks": true,
		"http://127.0.0.1/jwks": true, "http://[::1]/jwks": true, "https://10.0.0.1/jwks": true,
		"": false, "jwks": false, "/jwks": false, "http://idp.example/jwks": false, "ftp://idp.example/jwks": false, "file:///etc/jwks": false,
		"https://": false, "https:///jwks": false, "https://me@idp.example/jwks": false, "https://idp.example/#keys": false,
		"http://api.localhost/jwks": true, "http://a.b.LOCALHOST:81/jwks": true, "http://notlocalhost/jwks": false,
		"http://localhost.example/jwks": false, "http://10.0.0.1/jwks": false, "http://127.0.0.1.example/jwks": false, "https://idp.example/a b": false,
		"https://idp.example/%zz": false, "HTTPS://idp.example/jwks": true,
	} {
		if err := verify.CheckJWKSURI(uri); (err == nil) != good {
			t.Errorf("%q: %v", uri, err)
		}
		if _, err := verify.NewURLKeys(uri, verify.URLKeysOptions{}); (err == nil) != good {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

// What may be a secret is not shown, wherever it is.
func TestShownURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://idp.example/jwks":             "https://idp.example/jwks",
		"https://idp.example/jwks?key=s":       "https://idp.example/jwks?…",
		"https://idp.example#s?s":              "https://idp.example#…",
		"idp.example/jwks":                     "idp.example/jwks",
		"https://s:s@idp.example/jwks?s":       "https://…@idp.example/jwks?…",
		"HTTPS://s:s@idp.example/jwks":         "HTTPS://…@idp.example/jwks",
		"https://s:1/s@idp.example/":           "https://…@idp.example/",
		"https://s:1?s@idp.example/":           "https://…",
		"https://s:1#s@idp.example/":           "https://…",
		"https://s:s/s@idp.example/":           "…",
		"https://s:s s@idp.example/":           "…",
		"https:s:s@idp.example":                "…",
		"https:/s:s@idp.example/jwks":          "…",
		"https:///s:s@idp.example/jwks":        "…",
		"https//s:s@idp.example/jwks":          "…",
		"//s@idp.example":                      "…",
		"s:s@idp.example":                      "…",
		"s://s@idp.example":                    "…",
		"s@idp.example":                        "…",
		"{env.URL}":                            "{env.URL}",
		"https://{env.HOST}:{env.PORT}/a?b={}": "https://{env.HOST}:{env.PORT}/a?…",
		"https://{env.USER}:{env.PW}@{env.H}/": "https://…@{env.H}/",
	} {
		if got := verify.ShownURL(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}

// RFC 6890, and the registries that follow it.
func TestSpecialUseAddresses(t *testing.T) {
	for _, special := range strings.Fields(`0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.1.2.3 169.254.169.254 172.16.0.1 172.31.255.255
		192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1
		255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1
		2001::1 2001:db8::1 2002:7f00:1::1 3fff::1 5f00::1 fc00::1 fd00::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1`) {
		if !verify.IsSpecialUse(special) {
			t.Errorf("%s is fetched from", special)
		}
	}
	for _, global := range strings.Fields(`1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 128.0.0.1 172.15.255.255 172.32.0.0
		192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 2606:4700::1111 2a00::1 2001:4860:4860::8888
		::ffff:1.1.1.1 64:ff9b::101:101`) {
		if verify.IsSpecialUse(global) {
			t.Errorf("%s is not fetched from", global)
		}
	}
}

// The address is judged when the connection is made, whatever the URL looks like. Special-use
// addresses are refused unless they are named.
func TestURLKeysAddresses(t *testing.T) {
	s := newKeyServer(t, keySetOf("a"))
	port := s.URL[strings.LastIndexByte(s.URL, ':'):]
	any4 := netip.MustParsePrefix("0.0.0.0/8")
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	for _, row := range []struct {
		name, host string
		addresses  []netip.Prefix
		why        string // a part of the error; empty: it is fetched
	}{
		{"this machine", "127.0.0.1", nil, ""},
		{"another address of this machine", "127.1.2.3", nil, "refused"}, // nobody listens
		{"this machine, by its mapped address", "[::ffff:127.0.0.1]", nil, ""},
		{"the unspecified address, which is this machine", "0.0.0.0", nil, "special-use"},
		{"the same, named", "0.0.0.0", []netip.Prefix{any4}, "certificate"}, // it was connected to
		{"another is named", "0.0.0.0", []netip.Prefix{loopback}, "special-use"},
		{"a private address", "10.255.255.1", nil, "special-use"},
		{"link-local, where clouds tell secrets", "169.254.169.254", nil, "special-use"},
		{"the same in IPv6", "[fd00:ec2::254]", nil, "special-use"},
	} {
		keys := s.at(t, "https://"+row.host+port+"/jwks", row.addresses...)
		_, err := keys.Key(t.Context(), "a", "ES256")
		if row.why == "" && err != nil || row.why != "" && (!errors.Is(err, verify.ErrUnavailable) || !strings.Contains(err.Error(), row.why)) {
			t.Errorf("%s: %v, want %q", row.name, err, row.why)
		}
	}
}

func TestParseAddresses(t *testing.T) {
	got, err := verify.ParseAddresses([]string{"10.0.0.0/8", "192.168.1.2", "fd00::/8", "::1"})
	if err != nil || len(got) != 4 || got[1].String() != "192.168.1.2/32" || got[3].String() != "::1/128" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "idp.example", "fe80::1%eth0", "10.0.0.0/8,10.0.0.0/9"} {
		if got, err := verify.ParseAddresses([]string{bad}); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

// A URL is fetched once, however many name it. What may be fetched from other addresses is apart.
func TestFetcher(t *testing.T) {
	s := newKeyServer(t, keySetOf("a"))
	f := verify.NewFetcher(verify.URLKeysOptions{RootCAs: s.roots, Now: s.clock.Now})
	logger := slog.New(slog.DiscardHandler)
	private := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	keys := make([]*verify.URLKeys, 3)
	for i, addresses := range [][]netip.Prefix{nil, nil, private} {
		var err error
		if keys[i], err = f.Keys(s.URL+"/jwks", addresses, logger); err != nil {
			t.Fatal(err)
		}
		if _, err := keys[i].Key(t.Context(), "a", "ES256"); err != nil {
			t.Error(err)
		}
	}
	if keys[0] != keys[1] || keys[0] == keys[2] || s.fetches.Load() != 2 {
		t.Errorf("%p, %d fetches", keys, s.fetches.Load())
	}
	if _, err := f.Keys("http://idp.example", nil, logger); err == nil {
		t.Error("a bad URL is taken")
	}
}
