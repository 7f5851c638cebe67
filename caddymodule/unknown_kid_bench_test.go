package caddymodule_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const unknownKidCaddyfile = `{
	admin off
	persist_config off
	log {
		output discard
	}
}
http://127.0.0.1:$port {
	oauth_verify /orders {
		audience orders
		issuer https://idp.example {
			jwks_uri $keys
		}
	}
	respond /floor 401
	respond /orders "orders"
}
`

// BenchmarkUnknownKids shows what requests whose kid nobody knows leave for others: the 99th
// percentile of good requests during a thousand of them in three seconds, as a share of that while
// the same requests go to a handler that answers 401 to all (of-floor), and while there are none
// (of-quiet). The three take turns. Good requests come at a quarter of their maximum. fetches is
// how often the set of keys was fetched in a turn.
func BenchmarkUnknownKids(b *testing.B) {
	idp := verifytest.New("https://idp.example", "orders")
	var fetches atomic.Int64
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		time.Sleep(50 * time.Millisecond) // as far away as another country
		_, _ = w.Write(idp.JWKS())
	}))
	b.Cleanup(keys.Close)
	port := mustFreePort(b)
	address := "127.0.0.1:" + port
	loadBench(b, strings.NewReplacer("$port", port, "$keys", keys.URL).Replace(unknownKidCaddyfile))
	f := &flood{address: address, verifying: dial(b, address), get: "GET /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + idp.Sign(verifytest.Claims{}) + "\r\n\r\n"}
	const unknown = 1000
	most := float64(len(f.verify(b, floodPhase, 0))) / floodPhase.Seconds()
	var tails [3][]float64 // of no flood, of the floor, of unknown kids
	before := fetches.Load()
	turns := 0
	for b.Loop() {
		turns++
		for i, path := range []string{"", "/floor", "/orders"} {
			var tokens []string
			for n := 0; path != "" && n < unknown; n++ {
				tokens = append(tokens, idp.Sign(verifytest.Claims{}, verifytest.Header("kid", "unknown"+strconv.Itoa(turns*unknown+n))))
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				sendTokens(b, "http://"+address+path, tokens)
			}()
			times := f.verify(b, floodPhase, most/4)
			<-done
			slices.Sort(times)
			tails[i] = append(tails[i], times[len(times)*99/100].Seconds()*1000)
		}
	}
	median := func(values []float64) float64 {
		slices.Sort(values)
		return values[len(values)/2]
	}
	b.ReportMetric(median(tails[2])/median(tails[1]), "of-floor")
	b.ReportMetric(median(tails[2])/median(tails[0]), "of-quiet")
	b.ReportMetric(median(tails[2]), "p99-ms")
	b.ReportMetric(median(tails[0]), "quiet-p99-ms")
	b.ReportMetric(float64(fetches.Load()-before)/float64(turns), "fetches")
	b.ReportMetric(0, "ns/op")
}

// sendTokens sends each token once, in bursts over one phase, each of which must be refused.
func sendTokens(b *testing.B, url string, tokens []string) {
	client := floodClient(false)
	defer client.CloseIdleConnections()
	start := time.Now()
	for n := range slices.Chunk(tokens, 5) {
		var burst sync.WaitGroup
		for _, token := range n {
			burst.Go(func() {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
				if err != nil {
					b.Error(err)
					return
				}
				r.Header.Set("Authorization", "Bearer "+token)
				res, err := client.Do(r)
				if err != nil {
					b.Error(err)
					return
				}
				defer res.Body.Close()
				if _, _ = io.Copy(io.Discard, res.Body); res.StatusCode != http.StatusUnauthorized {
					b.Errorf("status %d", res.StatusCode)
				}
			})
		}
		burst.Wait()
		start = start.Add(floodPhase * 5 / 1000)
		time.Sleep(time.Until(start))
	}
}
