package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenep/caddy-tokenep/caddymodule"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// The benchmarks measure a whole Caddy over loopback connections that are kept alive, and compare
// it with a Caddy that does only what is unavoidable. The two take turns of some milliseconds, so
// that other load on the machine affects both. A metric is the ratio of the medians.

// BenchmarkToken compares client_credentials (Basic, ES256) with a handler that reads the body,
// makes one ES256 signature and answers as many bytes. It logs nothing, while we log a line for
// each token, which Caddy's logger discards in the first comparison and writes to a file in the
// second.
func BenchmarkToken(b *testing.B) {
	b.Run("log discarded", func(b *testing.B) { benchmarkToken(b, "discard") })
	b.Run("log written", func(b *testing.B) { benchmarkToken(b, "file "+filepath.Join(b.TempDir(), "caddy.log")) })
}

func benchmarkToken(b *testing.B, logOutput string) {
	at := runBenchCaddy(b, verifytest.New("https://idp.example", "orders"), logOutput)
	request := "POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic YmlsbGluZzpkZW1vLWJpbGxpbmctc2VjcmV0\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 29\r\n\r\ngrant_type=client_credentials"
	ours, floor := dial(b, at["token"]), dial(b, at["signature"])
	repeat := func(int) string { return request }
	compare(b, side{"token", ours, repeat}, side{"signature", floor, repeat}, "of-signature")
}

// BenchmarkVerify compares reverse_proxy behind oauth_verify with the same reverse_proxy alone:
// with a token that was verified before; with one of this server, which may be revoked, and all
// that a route may have besides; and with a new token on each request, where the other side makes
// one ECDSA verification. What Caddy itself needs to remove one header and set three, as that route
// does, is compared with the bare reverse_proxy too, and a token that is replaced by one for the
// upstream with one that is removed.
func BenchmarkVerify(b *testing.B) {
	idp := verifytest.New("https://idp.example", "orders")
	at := runBenchCaddy(b, idp, "discard")
	get := func(token string) string {
		return "GET /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	}
	mint := func(n int) string {
		return get(idp.Sign(verifytest.Claims{"scope": "orders:read", "jti": strconv.Itoa(n)}))
	}
	b.Run("seen", func(b *testing.B) {
		request := mint(-1)
		repeat := func(int) string { return request }
		compare(b, side{"verify", dial(b, at["verify"]), repeat}, side{"proxy", dial(b, at["proxy"]), repeat}, "of-bare-proxy")
	})
	b.Run("rules", func(b *testing.B) {
		request := get(benchToken(b, at["token"]))
		repeat := func(int) string { return request }
		compare(b, side{"verify", dial(b, at["rules"]), repeat}, side{"proxy", dial(b, at["proxy"]), repeat}, "of-bare-proxy")
	})
	b.Run("headers", func(b *testing.B) {
		request := get(benchToken(b, at["token"]))
		repeat := func(int) string { return request }
		compare(b, side{"headers", dial(b, at["headers"]), repeat}, side{"proxy", dial(b, at["proxy"]), repeat}, "of-bare-proxy")
	})
	b.Run("replaced", func(b *testing.B) {
		request := get(benchToken(b, at["token"]))
		repeat := func(int) string { return request }
		compare(b, side{"replaced", dial(b, at["replaced"]), repeat}, side{"stripped", dial(b, at["stripped"]), repeat}, "of-stripped")
	})
	b.Run("new", func(b *testing.B) {
		compare(b, side{"verify", dial(b, at["verify"]), mint}, side{"ecdsa", dial(b, at["ecdsa"]), mint}, "of-bare-proxy-and-ecdsa")
	})
}

// BenchmarkDPoP compares reverse_proxy behind oauth_verify, with a token that is bound to a key and
// a proof of it that is new on each request (RFC 9449), with the same reverse_proxy alone, and with
// one that makes one ECDSA verification, which is the least that a proof costs.
func BenchmarkDPoP(b *testing.B) {
	idp, prover := verifytest.New("https://idp.example", "orders"), verifytest.NewProver("ES256")
	at := runBenchCaddy(b, idp, "discard")
	token := idp.Sign(verifytest.Claims{"scope": "orders:read", "cnf": map[string]any{"jkt": prover.Thumbprint()}})
	prove := func(int) string {
		return "GET /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: DPoP " + token +
			"\r\nDPoP: " + prover.Proof("GET", "https://api.example/orders", token, nil) + "\r\n\r\n"
	}
	b.Run("proxy", func(b *testing.B) {
		compare(b, side{"dpop", dial(b, at["dpop"]), prove}, side{"proxy", dial(b, at["proxy"]), prove}, "of-bare-proxy")
	})
	b.Run("ecdsa", func(b *testing.B) {
		compare(b, side{"dpop", dial(b, at["dpop"]), prove}, side{"ecdsa", dial(b, at["ecdsa"]), prove}, "of-bare-proxy-and-ecdsa")
	})
}

// benchToken returns an access token of the server of the benchmarks.
func benchToken(b *testing.B, address string) string {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), "POST", "http://"+address+"/oauth/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("billing", "demo-billing-secret")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		b.Fatalf("%d %v", response.StatusCode, err)
	}
	return answer.AccessToken
}

const benchCaddyfile = `
{
	admin off
	log {
		output $output
	}
	oauth_server {
		issuer http://localhost:$token
		store memory
		client billing {
			secret demo-billing-secret
			grants client_credentials
			scope orders:read orders:write
			audience orders
		}
	}
}
http://:$token {
	bind 127.0.0.1
	oauth_token
}
http://:$signature {
	bind 127.0.0.1
	route {
		bench_signature
	}
}
http://:$verify {
	bind 127.0.0.1
	oauth_verify {
		audience orders
		scope orders:read
		header X-User-Id sub
		issuer https://idp.example {
			jwks_file $jwks
		}
	}
	reverse_proxy 127.0.0.1:$upstream
}
http://:$rules {
	bind 127.0.0.1
	oauth_verify {
		audience orders
		scope orders:read orders:write
		rule "claims.client_id == 'billing' && request.method in ['GET', 'HEAD']"
		header X-User-Id sub
		header X-Client-Id client_id
		header X-Token-Id jti
	}
	reverse_proxy 127.0.0.1:$upstream
}
http://:$replaced {
	bind 127.0.0.1
	oauth_verify {
		audience orders
		authorization token {
			audience https://orders.internal
		}
	}
	reverse_proxy 127.0.0.1:$upstream
}
http://:$stripped {
	bind 127.0.0.1
	oauth_verify {
		audience orders
	}
	reverse_proxy 127.0.0.1:$upstream
}
http://:$headers {
	bind 127.0.0.1
	request_header -Authorization
	request_header X-User-Id client:billing
	request_header X-Client-Id billing
	request_header X-Token-Id abcdefghijklmnopqrstuvwxyz
	reverse_proxy 127.0.0.1:$upstream
}
http://:$dpop {
	bind 127.0.0.1
	oauth_verify {
		audience orders
		scope orders:read
		header X-User-Id sub
		issuer https://idp.example {
			jwks_file $jwks
		}
		dpop {
			required
			origin https://api.example
		}
	}
	reverse_proxy 127.0.0.1:$upstream
}
http://:$proxy {
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:$upstream
}
http://:$ecdsa {
	bind 127.0.0.1
	route {
		bench_ecdsa
		reverse_proxy 127.0.0.1:$upstream
	}
}
http://:$upstream {
	bind 127.0.0.1
	respond "the orders"
}
`

// runBenchCaddy starts the Caddy of the benchmarks and returns the address of each of its sites.
func runBenchCaddy(b *testing.B, idp *verifytest.Issuer, logOutput string) map[string]string {
	jwks := filepath.Join(b.TempDir(), "jwks.json")
	if err := os.WriteFile(jwks, idp.JWKS(), 0o600); err != nil {
		b.Fatal(err)
	}
	at := map[string]string{}
	replacements := []string{"$jwks", jwks, "$output", logOutput}
	for _, site := range []string{"token", "signature", "verify", "dpop", "headers", "rules", "replaced", "stripped", "proxy", "ecdsa", "upstream"} {
		port := mustFreePort(b)
		at[site] = "127.0.0.1:" + port
		replacements = append(replacements, "$"+site, port)
	}
	text := strings.NewReplacer(replacements...).Replace(benchCaddyfile)
	loadBench(b, text)
	return at
}

// loadBench has Caddy run a Caddyfile until the end of the benchmark.
func loadBench(b *testing.B, text string) {
	b.Helper()
	config, _, err := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		b.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = caddy.Stop() })
}

func init() {
	caddy.RegisterModule(benchSignature{})
	caddy.RegisterModule(benchECDSA{})
	caddy.RegisterModule(benchAnswers{})
	for _, name := range []string{"bench_signature", "bench_ecdsa", "bench_answer"} {
		module := "http.handlers." + name
		httpcaddyfile.RegisterHandlerDirective(name, func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
			info, err := caddy.GetModule(module)
			if err != nil {
				return nil, err
			}
			return info.New().(caddyhttp.MiddlewareHandler), nil
		})
	}
}
