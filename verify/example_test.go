package verify_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// An API behind net/http alone. Outside of a test, the key set is a file or a constant.
func ExampleGuard() {
	issuer := verifytest.New("https://issuer.example", "https://api.example")

	keys, unusable, err := verify.ParseKeySet(issuer.JWKS())
	if err != nil || len(unusable) > 0 {
		log.Fatal(err, unusable)
	}
	verifier, err := verify.New(verify.Config{
		Issuers: []verify.TrustedIssuer{{
			Name: "https://issuer.example", Keys: keys, Audience: []string{"https://api.example"},
		}},
		Cache:  verify.NewCache(10_000, time.Now),
		Leeway: 30 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	guard := &verify.Guard{
		Verifier: verifier,
		Realm:    "orders",
		Scope:    verify.Scope{"orders:read"},
		Headers:  []verify.HeaderClaim{{Header: "X-User-Id", Claim: verify.ClaimPath{"sub"}}},
	}
	if err := guard.Validate(); err != nil {
		log.Fatal(err)
	}
	api := httptest.NewServer(guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := verify.FromContext(r.Context())
		fmt.Println(token.ClientID, "asks for", r.Header.Get("X-User-Id"))
	})))
	defer api.Close()

	for _, scope := range []string{"orders:read", "orders:write", ""} {
		request, err := http.NewRequest(http.MethodGet, api.URL, nil)
		if err != nil {
			log.Fatal(err)
		}
		request.Header.Set("X-User-Id", "admin")
		if scope != "" {
			issuer.Authorize(request, verifytest.Claims{"scope": scope})
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		response.Body.Close()
		challenge := response.Header.Get("WWW-Authenticate")
		fmt.Printf("%d [%s]\n", response.StatusCode, strings.ReplaceAll(challenge, ", ", ",\n    "))
	}
	// Output:
	// client asks for alice
	// 200 []
	// 403 [Bearer realm="orders",
	//     error="insufficient_scope",
	//     error_description="the access token lacks a scope that is needed here",
	//     scope="orders:read"]
	// 401 [Bearer realm="orders",
	//     scope="orders:read"]
}
