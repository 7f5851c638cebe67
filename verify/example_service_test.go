package verify_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// A service alone, whose issuer is found by its metadata (RFC 8414 §3). It starts while the issuer
// is away, and needs nothing but this package.
func ExampleNewDiscoveredKeys() {
	issuer := startIssuer() // that of a test; yours is at https://auth.example.com
	defer issuer.Close()

	keys, err := verify.NewDiscoveredKeys(issuer.Name, "", verify.URLKeysOptions{})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := verify.New(verify.Config{
		Issuers: []verify.TrustedIssuer{{Name: issuer.Name, Keys: keys, Audience: []string{"https://api.example.com"}}},
		Cache:   verify.NewCache(10_000, nil),
		Leeway:  30 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	guard := &verify.Guard{Verifier: verifier, Scope: verify.Scope{"orders:read"}}
	if err := guard.Validate(); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := verify.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "orders of %s", token.Subject)
	})))
	service := httptest.NewServer(mux) // yours is http.ListenAndServe
	defer service.Close()

	for _, scope := range []string{"orders:read", "orders:write"} {
		request, err := http.NewRequest(http.MethodGet, service.URL+"/orders", nil)
		if err != nil {
			log.Fatal(err)
		}
		issuer.Authorize(request, verifytest.Claims{"scope": scope})
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			log.Fatal(err)
		}
		response.Body.Close()
		fmt.Printf("%d %.29s\n", response.StatusCode, body) // how it begins
	}
	// Output:
	// 200 orders of alice
	// 403 {"error":"insufficient_scope"
}

// exampleIssuer is an issuer with its metadata and its key set on this machine.
type exampleIssuer struct {
	*httptest.Server
	*verifytest.Issuer
}

func startIssuer() exampleIssuer {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	issuer := verifytest.New(server.URL, "https://api.example.com")
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, server.URL, server.URL+"/jwks")
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(issuer.JWKS()) })
	return exampleIssuer{server, issuer}
}
