package verify_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tokenep/caddy-tokenep/verify"
)

// How often the two are fetched: the document seldom, and for whatever kids no more than once.
func TestDiscoveryFetches(t *testing.T) {
	s := newMetadataServer(t, "a")
	s.count(t, openIDPath, 0) // until it is needed
	s.key(t, s.URLKeys, "a", "")
	s.count(t, openIDPath, 1)
	s.count(t, "/jwks", 1)
	for age := time.Duration(0); age < 12*time.Hour; age += 5 * time.Minute {
		s.key(t, s.URLKeys, "a", "")
		s.count(t, openIDPath, 1)
		s.clock.Advance(5 * time.Minute)
	}
	s.key(t, s.URLKeys, "a", "")
	s.count(t, openIDPath, 2)
	s.clock.Advance(verify.FetchSpacing)
	s.count(t, "/jwks", 1+12*12)
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			if _, err := s.Key(t.Context(), fmt.Sprint("guess", i), "ES256"); !errors.Is(err, verify.ErrUnknownKey) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.count(t, openIDPath, 2)
	s.count(t, "/jwks", 1+12*12+1)
}

// The documents of an issuer can name another URL at any time. The keys at the old one stay good
// until that is seen: when the old one is gone, or when somebody has a new key.
func TestDiscoveryFollowsTheKeys(t *testing.T) {
	t.Run("a new key", func(t *testing.T) {
		s := newMetadataServer(t, "a")
		s.key(t, s.URLKeys, "a", "")
		s.text("/jwks2", keySetOf("b"))
		s.text(openIDPath, metadataOf(s.URL, s.URL+"/jwks2"))
		s.clock.Advance(5*time.Minute + 1)
		s.key(t, s.URLKeys, "a", "") // the keys are fetched in the background, the document is not
		s.count(t, openIDPath, 1)
		s.clock.Advance(verify.FetchSpacing)
		s.key(t, s.URLKeys, "b", "")
		s.expect(t, "a", verify.ErrUnknownKey, 5)
	})
	t.Run("the old URL is gone", func(t *testing.T) {
		s := newMetadataServer(t, "a")
		s.key(t, s.URLKeys, "a", "")
		s.text("/jwks2", keySetOf("a", "b"))
		s.text(openIDPath, metadataOf(s.URL, s.URL+"/jwks2"))
		s.at("/jwks", nil)
		s.clock.Advance(verify.FetchSpacing)
		s.key(t, s.URLKeys, "b", "status 404")
		s.clock.Advance(verify.FetchSpacing)
		s.key(t, s.URLKeys, "b", "")
	})
	t.Run("the ETag of another URL is not sent", func(t *testing.T) {
		s := newMetadataServer(t)
		tagged := func(kid string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", `"1"`)
				if r.Header.Get("If-None-Match") == `"1"` {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				_, _ = w.Write([]byte(keySetOf(kid)))
			}
		}
		s.at("/jwks", tagged("a"))
		s.at("/jwks2", tagged("b"))
		s.key(t, s.URLKeys, "a", "")
		s.text(openIDPath, metadataOf(s.URL, s.URL+"/jwks2"))
		s.clock.Advance(5 * time.Minute)
		s.key(t, s.URLKeys, "a", "")
		s.clock.Advance(verify.FetchSpacing)
		s.key(t, s.URLKeys, "b", "")
	})
	t.Run("the ETag of the document", func(t *testing.T) {
		s := newMetadataServer(t, "a")
		same := false
		s.at(openIDPath, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			if same = r.Header.Get("If-None-Match") == `"1"`; same {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = w.Write([]byte(metadataOf(s.URL, s.URL+"/jwks")))
		})
		s.key(t, s.URLKeys, "a", "")
		s.clock.Advance(12 * time.Hour)
		s.key(t, s.URLKeys, "a", "")
		if !same {
			t.Error("the ETag was not sent back")
		}
	})
}

// RFC 5861 §4: while the issuer is away its keys stay in force for a day, and not for longer; then
// nobody knows, which is 503. When it is back, so are they.
func TestDiscoveryOutage(t *testing.T) {
	s := newMetadataServer(t, "a")
	s.key(t, s.URLKeys, "a", "")
	s.at(openIDPath, s.fail)
	s.at("/jwks", s.fail)
	s.clock.Advance(24*time.Hour - 1)
	s.key(t, s.URLKeys, "a", "")
	s.key(t, s.URLKeys, "new", "status 502")
	s.clock.Advance(1)
	s.key(t, s.URLKeys, "a", "status 502")
	s.clock.Advance(verify.FetchSpacing)
	s.key(t, s.URLKeys, "a", "metadata")
	s.text(openIDPath, metadataOf(s.URL, s.URL+"/jwks"))
	s.text("/jwks", keySetOf("a"))
	s.clock.Advance(verify.FetchSpacing)
	s.key(t, s.URLKeys, "a", "")
	if !strings.Contains(s.log.String(), "is good again") || !strings.Contains(s.log.String(), "can be fetched again") {
		t.Errorf("the log does not say that it is over: %s", &s.log)
	}
}

// The names of documents and key sets are resolved when a connection is made, and the address is
// judged then: a name that has moved to an address of the inside leads nowhere. Nor does one on the
// Internet lead to this machine, whatever it calls it.
func TestDiscoveryRebound(t *testing.T) {
	s := newMetadataServer(t, "a")
	port := s.URL[strings.LastIndexByte(s.URL, ':'):]
	issuer := "https://idp.example.com" + port // the certificate is for that name
	var address atomic.Value
	address.Store("127.0.0.1")
	o := s.options(netip.MustParsePrefix("127.0.0.1/32")) // as if it were one of the Internet
	o.SetResolver(resolverOf(t, func(string) netip.Addr { return netip.MustParseAddr(address.Load().(string)) }))
	discover := func(jwks string) *verify.URLKeys {
		s.text(openIDPath, metadataOf(issuer, jwks))
		keys, err := verify.NewDiscoveredKeys(issuer, "", o)
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	keys := discover("https://keys.example.com" + port + "/jwks")
	s.key(t, keys, "a", "")
	for _, inside := range []string{"127.0.0.2", "10.0.0.1", "169.254.169.254"} {
		address.Store(inside)
		s.clock.Advance(verify.FetchSpacing)
		s.key(t, keys, "b", inside+" is a special-use address")
	}
	address.Store("127.0.0.1")
	s.key(t, discover("http://127.0.0.2"+port+"/jwks"), "a", "special-use")
	s.key(t, discover("http://[::1]"+port+"/jwks"), "a", "special-use")
}

// resolverOf returns a resolver that asks a server of its own, which answers with address.
func resolverOf(t *testing.T, address func(name string) netip.Addr) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		packet := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(packet)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if query.Unpack(packet[:n]) != nil || len(query.Questions) != 1 {
				continue
			}
			question := query.Questions[0]
			answer := dnsmessage.Message{
				Header:    dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true},
				Questions: query.Questions,
			}
			if question.Type == dnsmessage.TypeA {
				answer.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: address(question.Name.String()).As4()},
				}}
			}
			if text, err := answer.Pack(); err == nil {
				_, _ = server.WriteTo(text, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// What no document can be found for, or be fetched from.
func TestDiscoveryOptions(t *testing.T) {
	for issuer, good := range map[string]bool{
		"https://idp.example": true, "https://idp.example/tenant/": true, "http://localhost:8080": true, "": false, "idp.example": false,
		"http://idp.example": false, "https://idp.example?tenant=1": false, "https://idp.example/#a": false, "https://me@idp.example": false,
	} {
		_, err := verify.NewDiscoveredKeys(issuer, "", verify.URLKeysOptions{})
		if (err == nil) != good || (verify.CheckDiscovery(issuer) == nil) != good {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	for document, good := range map[string]bool{"https://idp.example/a?b": true, "http://idp.example/a": false, "/a": false} {
		_, err := verify.NewDiscoveredKeys("https://idp.example", document, verify.URLKeysOptions{})
		if (err == nil) != good || (verify.CheckDiscoveryURL(document) == nil) != good {
			t.Errorf("%q: %v", document, err)
		}
	}
	f := verify.NewFetcher(verify.URLKeysOptions{})
	one, err := f.Discover("https://idp.example", "", nil, nil)
	same, _ := f.Discover("https://idp.example", "", nil, nil)
	if err != nil || one != same {
		t.Errorf("the same keys are fetched twice (%v)", err)
	}
	other, _ := f.Discover("https://idp.example", "https://idp.example/a", nil, nil)
	inside, _ := f.Discover("https://idp.example", "", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, nil)
	if other == one || inside == one {
		t.Error("other keys are the same ones")
	}
}
