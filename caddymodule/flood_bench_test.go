package caddymodule_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const (
	floodRate  = 1000 // wrong secrets a second
	floodPhase = 2 * time.Second
)

// BenchmarkFlood shows what a flood of wrong secrets leaves of verification: its rate, and its 99th
// percentile, as a share of what is left while the same requests go to a handler that answers 401
// without a hash. The two floods take turns. Verification is offered half of its maximum.
func BenchmarkFlood(b *testing.B) {
	for _, addresses := range []int{1, 100} {
		b.Run(fmt.Sprintf("addresses=%d", addresses), func(b *testing.B) { benchmarkFlood(b, addresses) })
	}
}

func benchmarkFlood(b *testing.B, addresses int) {
	idp := verifytest.New("https://idp.example", "orders")
	address := runFloodCaddy(b, idp)
	get := "GET /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + idp.Sign(verifytest.Claims{}) + "\r\n\r\n"
	verified := func(int) string { return get }
	guess := func(path string) func(int) string {
		return func(n int) string {
			basic := base64.StdEncoding.EncodeToString([]byte("shop:guess" + strconv.Itoa(n)))
			return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 192.0.2.%d\r\nAuthorization: Basic %s\r\n"+
				"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 29\r\n\r\ngrant_type=client_credentials", path, n%addresses, basic)
		}
	}
	verifying, flooding := dial(b, address), dial(b, address)
	most := float64(len(verifying.pace(b, floodPhase, 0, "200", verified))) / floodPhase.Seconds()
	var rates, tails [2]float64
	for range b.N {
		for i, path := range []string{"/floor", "/oauth/token"} {
			var wg sync.WaitGroup
			wg.Go(func() { flooding.pace(b, floodPhase, floodRate, "", guess(path)) })
			times := verifying.pace(b, floodPhase, most/2, "200", verified)
			wg.Wait()
			slices.Sort(times)
			rates[i] += float64(len(times)) / floodPhase.Seconds() / float64(b.N)
			tails[i] += times[len(times)*99/100].Seconds() * 1000 / float64(b.N)
		}
	}
	b.ReportMetric(rates[1]/rates[0], "of-rate")
	b.ReportMetric(rates[1], "verified/s")
	b.ReportMetric(tails[1], "p99-ms")
	b.ReportMetric(tails[0], "floor-p99-ms")
}

// pace sends this many requests a second for some time, or as many as it can for 0, and returns how
// long each took. A request that is late is not made up for. status is that of all answers; empty:
// any.
func (all connections) pace(b *testing.B, duration time.Duration, rate float64, status string, request func(n int) string) []time.Duration {
	var mu sync.Mutex
	var times []time.Duration
	var wg sync.WaitGroup
	interval := time.Duration(0)
	if rate > 0 {
		interval = time.Duration(float64(len(all)) / rate * float64(time.Second))
	}
	end := time.Now().Add(duration)
	for i, c := range all {
		wg.Go(func() {
			var own []time.Duration
			for n := i; time.Now().Before(end); n += len(all) {
				start := time.Now()
				got, err := exchange(c, request(n))
				if err != nil || status != "" && got != status {
					b.Errorf("status %s: %v", got, err)
					return
				}
				own = append(own, time.Since(start))
				time.Sleep(interval - time.Since(start))
			}
			mu.Lock()
			times = append(times, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return times
}

// exchange sends a request and returns the status.
func exchange(c *bufio.ReadWriter, request string) (status string, err error) {
	_, _ = c.WriteString(request)
	if err := c.Flush(); err != nil {
		return "", err
	}
	length := 0
	for {
		line, err := c.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		if text, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 ")); ok {
			status = string(text[:len("200")])
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
		if len(line) == len("\r\n") {
			break
		}
	}
	_, err = c.Discard(length)
	return status, err
}

const floodCaddyfile = `{
	admin off
	persist_config off
	log {
		output discard
	}
	servers {
		trusted_proxies static 127.0.0.1/32
	}
	oauth_server {
		issuer http://127.0.0.1:$port
		store memory
		client shop {
			secret demo-shop-secret
			grants client_credentials
		}
	}
}
http://127.0.0.1:$port {
	oauth_token
	oauth_verify /orders {
		audience orders
		issuer https://idp.example {
			jwks_file $jwks
		}
	}
	respond /floor 401
	respond /orders "orders"
}
`

// runFloodCaddy runs a Caddy, and returns its address.
func runFloodCaddy(b *testing.B, idp *verifytest.Issuer) string {
	jwks := filepath.Join(b.TempDir(), "jwks.json")
	if err := os.WriteFile(jwks, idp.JWKS(), 0o600); err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	text := strings.NewReplacer("$jwks", jwks, "$port", port).Replace(floodCaddyfile)
	config, _, err := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		b.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = caddy.Stop() })
	res, err := http.Get("http://" + address + "/oauth/jwks") // it has started
	if err != nil {
		b.Fatal(err)
	}
	res.Body.Close()
	return address
}
