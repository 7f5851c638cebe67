package verifytest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// A handler behind a Guard, called with good and bad tokens.
func Example() {
	issuer := verifytest.New("https://idp.example", "https://api.example")
	guard := &verify.Guard{Verifier: issuer.Verifier(), Scope: verify.Scope{"orders:read"}}
	orders := guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := verify.FromContext(r.Context())
		fmt.Fprint(w, "orders of ", token.Subject)
	}))

	call := func(claims verifytest.Claims, options ...verifytest.Option) {
		r := httptest.NewRequest("GET", "/orders", nil)
		issuer.Authorize(r, claims, options...)
		w := httptest.NewRecorder()
		orders.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	call(verifytest.Claims{"scope": "orders:read"})
	call(verifytest.Claims{"scope": "orders:write"})
	call(verifytest.Claims{"scope": "orders:read"}, verifytest.Unsigned())
	// Output:
	// 200
	// 403
	// 401
}
