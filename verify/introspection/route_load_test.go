package introspection_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/introspection"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// Ten thousand first uses of one token at once are one introspection.
func TestManyFirstUsesAreOneQuestion(t *testing.T) {
	release := make(chan struct{})
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		json(`{"active":true,"aud":%q}`, api)(w, r)
	}, nil)
	o := introspection.Options{URL: s.url, ClientID: "orders", ClientSecret: "secret", Issuer: idp}
	server, err := introspection.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{{Name: idp, Introspect: server.Introspect, Audience: []string{api}}}})
	if err != nil {
		t.Fatal(err)
	}
	guard := &verify.Guard{Verifier: verifier}
	h := guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	var waiting, all sync.WaitGroup
	var good atomic.Int64
	const uses = 10_000
	waiting.Add(uses)
	for range uses {
		all.Go(func() {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			r.Header.Set("Authorization", "Bearer opaque")
			w := httptest.NewRecorder()
			waiting.Done()
			h.ServeHTTP(w, r)
			if w.Code == http.StatusOK {
				good.Add(1)
			}
		})
	}
	waiting.Wait()
	close(release)
	all.Wait()
	if good.Load() != uses || s.asked.Load() != 1 {
		t.Errorf("%d of %d were good, and it was asked %d times", good.Load(), uses, s.asked.Load())
	}
}

// A client that mints without end, with answers as long as can be: memory has a bound in bytes.
func TestMemoryIsBounded(t *testing.T) {
	for name, claim := range map[string]string{
		"text":    `"` + strings.Repeat("x", 60<<10) + `"`,
		"number":  strings.Repeat("1", 60<<10),
		"objects": "[" + strings.Repeat("{},", 999) + "{}]",
		"lists":   "[" + strings.Repeat("[],", 999) + "[]]",
	} {
		t.Run(name, func(t *testing.T) { boundedWith(t, claim) })
	}
}

func boundedWith(t *testing.T, claim string) {
	t.Helper()
	s := newSite(t, json(`{"active":true,"aud":%q,"x":%s}`, api, claim), nil)
	server, err := introspection.New(introspection.Options{URL: s.url, ClientID: "orders", ClientSecret: "secret", Answers: outbound.Answers{Good: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := memory()
	for i := range 2000 {
		if _, err := server.Introspect(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if held := memory() - before; held > 48<<20 {
		t.Errorf("%d MiB are held", held>>20)
	}
	runtime.KeepAlive(server)
}
