package caddymodule_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const (
	floodRate  = 1000 // wrong secrets a second
	floodPhase = 3 * time.Second

	newcomers = 40 // clients that were never seen; each phase takes one
)

// BenchmarkFlood shows what a flood of wrong secrets leaves for others: the rate and the 99th
// percentile of verification, as a share of what is left while the same requests, over the same
// protocol and as many connections, go to a handler that answers 401 without a hash. The two floods
// take turns. Verification is offered half of its maximum.
//
// The wrong secrets come one after another, or a second's worth at once; from one address, or from
// a hundred; from other addresses in each turn, since those of the last are still held back. In the
// middle of each turn a client that was never seen asks for a token (new-s is the longest that one
// waited), and all the time one that was seen before does (seen-p99-ms), both from elsewhere.
func BenchmarkFlood(b *testing.B) {
	idp := verifytest.New("https://idp.example", "orders")
	address := runFloodCaddy(b, idp)
	f := &flood{address: address, verifying: dial(b, address), get: "GET /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + idp.Sign(verifytest.Claims{}) + "\r\n\r\n"}
	f.ask(b, "regular") // it is known from here on
	f.most = float64(len(f.verify(b, floodPhase, 0))) / floodPhase.Seconds()
	for _, protocol := range []string{"1.1", "2"} {
		for _, arrival := range []string{"paced", "at-once"} {
			for _, addresses := range []int{1, 100} {
				b.Run(fmt.Sprintf("http=%s/%s/addresses=%d", protocol, arrival, addresses), func(b *testing.B) {
					f.run(b, protocol == "2", arrival == "at-once", addresses)
				})
			}
		}
	}
}

// flood is one Caddy and what is sent to it.
type flood struct {
	address   string
	verifying connections
	get       string  // verifies a token
	most      float64 // verifications a second, at the most
	turns     int     // how many floods there were
	seen      int     // how many newcomers there were
}

func (f *flood) run(b *testing.B, http2, atOnce bool, addresses int) {
	var rates, tails, regular [2]float64
	var longest time.Duration
	for range b.N {
		for i, path := range []string{"/floor", "/oauth/token"} {
			f.turns++
			client := floodClient(http2)
			var wg sync.WaitGroup
			wg.Go(func() { f.send(client, "http://"+f.address+path, atOnce, addresses) })
			var known []time.Duration
			wg.Go(func() { known = f.askSteadily(b) })
			if i == 1 {
				wg.Go(func() {
					time.Sleep(floodPhase / 2)
					longest = max(longest, f.ask(b, "new"+strconv.Itoa(f.seen%newcomers)))
					f.seen++
				})
			}
			times := f.verify(b, floodPhase, f.most/2)
			wg.Wait()
			client.CloseIdleConnections()
			slices.Sort(times)
			slices.Sort(known)
			rates[i] += float64(len(times)) / floodPhase.Seconds() / float64(b.N)
			tails[i] += times[len(times)*99/100].Seconds() * 1000 / float64(b.N)
			regular[i] += known[len(known)*99/100].Seconds() * 1000 / float64(b.N)
		}
	}
	b.ReportMetric(rates[1]/rates[0], "of-rate")
	b.ReportMetric(rates[1], "verified/s")
	b.ReportMetric(tails[1], "p99-ms")
	b.ReportMetric(tails[0], "floor-p99-ms")
	b.ReportMetric(longest.Seconds(), "new-s")
	b.ReportMetric(regular[1], "seen-p99-ms")
	b.ReportMetric(regular[0], "floor-seen-p99-ms")
}

// floodClient speaks HTTP/1.1 over as many connections as there are callers, or HTTP/2 over one.
func floodClient(http2 bool) *http.Client {
	transport := &http.Transport{MaxConnsPerHost: callers, MaxIdleConnsPerHost: callers, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	return &http.Client{Transport: transport}
}

// send floods for one phase, however the requests are answered. Those that still wait at its end
// hang up: the queue of hashes would take minutes to drain.
func (f *flood) send(client *http.Client, url string, atOnce bool, addresses int) {
	ctx, hangUp := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	each, tick := 1, time.Second/floodRate
	if atOnce {
		each, tick = floodRate, time.Second
	}
	start := time.Now()
	for n := 0; time.Since(start) < floodPhase; n += each {
		for i := range each {
			wg.Go(func() {
				from := fmt.Sprintf("10.%d.%d.%d", f.turns/256, f.turns%256, (n+i)%addresses)
				if res, err := floodRequest(ctx, client, url, "shop", "guess"+strconv.Itoa(n+i), from); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			})
		}
		time.Sleep(time.Until(start.Add(time.Duration(n/each+1) * tick)))
	}
	hangUp()
	wg.Wait()
}

func floodRequest(ctx context.Context, client *http.Client, url, id, secret, from string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(id, secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-For", from)
	return client.Do(r)
}

// ask gets a token for a client, from an address of its own, and returns how long that took.
func (f *flood) ask(b *testing.B, id string) time.Duration {
	start := time.Now()
	res, err := floodRequest(b.Context(), http.DefaultClient, "http://"+f.address+"/oauth/token", id, id+"-secret", "192.0.2.1")
	if err != nil {
		b.Error(err)
		return 0
	}
	defer res.Body.Close()
	if _, _ = io.Copy(io.Discard, res.Body); res.StatusCode != http.StatusOK {
		b.Errorf("%s: status %d", id, res.StatusCode)
	}
	return time.Since(start)
}

// askSteadily lets the regular client ask for a token twenty times a second.
func (f *flood) askSteadily(b *testing.B) (times []time.Duration) {
	for end := time.Now().Add(floodPhase); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		times = append(times, f.ask(b, "regular"))
	}
	return times
}

// verify sends this many tokens a second for some time, or as many as it can for 0, and returns how
// long each took. A request that is late is not made up for.
func (f *flood) verify(b *testing.B, duration time.Duration, rate float64) []time.Duration {
	var mu sync.Mutex
	var times []time.Duration
	var wg sync.WaitGroup
	interval := time.Duration(0)
	if rate > 0 {
		interval = time.Duration(float64(len(f.verifying)) / rate * float64(time.Second))
	}
	end := time.Now().Add(duration)
	for _, c := range f.verifying {
		wg.Go(func() {
			var own []time.Duration
			for time.Now().Before(end) {
				start := time.Now()
				if err := roundTrip(c, f.get); err != nil {
					b.Error(err)
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

const floodCaddyfile = `{
	admin off
	persist_config off
	log {
		output discard
	}
	servers {
		protocols h1 h2c
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	oauth_server {
		issuer http://127.0.0.1:$port
		store memory
		client shop {
			secret demo-shop-secret
			grants client_credentials
		}
		$clients
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
	var clients strings.Builder
	for i := range newcomers + 1 {
		id := "regular"
		if i > 0 {
			id = "new" + strconv.Itoa(i-1)
		}
		fmt.Fprintf(&clients, "client %s {\nsecret %s-secret\ngrants client_credentials\n}\n", id, id)
	}
	return runFloodCaddyWith(b, idp, clients.String())
}

// runFloodCaddyWith runs one whose oauth_server has these lines more.
func runFloodCaddyWith(b *testing.B, idp *verifytest.Issuer, lines string) string {
	jwks := filepath.Join(b.TempDir(), "jwks.json")
	if err := os.WriteFile(jwks, idp.JWKS(), 0o600); err != nil {
		b.Fatal(err)
	}
	port := mustFreePort(b)
	address := "127.0.0.1:" + port
	text := strings.NewReplacer("$jwks", jwks, "$port", port, "$clients", lines).Replace(floodCaddyfile)
	loadBench(b, text)
	res, err := http.Get("http://" + address + "/oauth/jwks") // it has started
	if err != nil {
		b.Fatal(err)
	}
	res.Body.Close()
	return address
}
