package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// BenchmarkFleet has as many callers as there are in other benchmarks make one kind of request to
// one node, and to three, on each engine. It reports the rate, the median and the 99th percentile
// of the requests for tokens, and how long processors worked for the nodes and for the database in
// each operation, on Linux.
func BenchmarkFleet(b *testing.B) {
	for _, engine := range []string{"redis", "postgres"} {
		for _, nodes := range []int{1, 3} {
			b.Run(fmt.Sprintf("%s/%d", engine, nodes), func(b *testing.B) {
				f := newFleet(b, nodes, engine)
				all := make([]*caller, callers)
				for i := range all {
					all[i] = f.newCaller(i)
				}
				for _, o := range fleetOperations {
					b.Run(o.name, func(b *testing.B) { f.bench(b, all, o) })
				}
			})
		}
	}
}

// fleetOperation is what a caller does again and again, with families of a client, if there is one.
type fleetOperation struct {
	name   string // the request whose times are reported
	do     func(*caller)
	client flowClient
}

var fleetOperations = []fleetOperation{
	{"verification", (*caller).verifies, loadApp},
	{"client_credentials", (*caller).clientCredentials, flowClient{}},
	{"jwt-bearer", (*caller).asserts, flowClient{}},
	{"token-exchange of an access token", (*caller).exchangesAccessToken, loadApp},
	{"token-exchange of an API token", (*caller).exchangesAPIToken, flowClient{}},
	{"refresh_token", (*caller).refreshes, loadApp},
	{"refresh_token, rotated", (*caller).refreshes, loadNative},
	{"password", (*caller).usesPassword, flowClient{}},
	{"authorization_code", (*caller).signsIn, flowClient{}}, // with all pages
	{"device_code", (*caller).usesDevice, flowClient{}},
	{"revocation", (*caller).endsOne, flowClient{}}, // with the password grant
}

func (c *caller) verifies() {
	token := c.families[0].accessToken
	c.does("verification", http.StatusOK, idempotent, func() response { return c.get(token) })
}

// endsOne signs somebody in by a password, and revokes that.
func (c *caller) endsOne() {
	c.families = nil
	if c.usesPassword(); len(c.families) == 1 {
		c.does("revocation", http.StatusOK, idempotent, c.family().endGrant)
	}
}

// prepares signs people in at the client of an operation.
func (c *caller) prepares(o fleetOperation) {
	c.families, c.only = nil, true
	for o.client.id != "" && len(c.families) < 5 && !c.t.Failed() {
		c.signsInTo(o.client)
	}
}

func (f *fleet) bench(b *testing.B, all []*caller, o fleetOperation) {
	for _, c := range all {
		c.prepares(o)
	}
	f.book.times = nil
	before := f.work()
	b.ResetTimer()
	each(b.N, func(i int) {
		c := all[i%len(all)]
		c.moves()
		o.do(c)
	})
	b.StopTimer()
	after := f.work()
	times := f.book.times[o.name]
	if len(times) == 0 {
		b.Fatal("nothing was answered")
	}
	slices.Sort(times)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	b.ReportMetric(float64(times[len(times)/2])/float64(time.Millisecond), "ms-p50")
	b.ReportMetric(float64(times[len(times)*99/100])/float64(time.Millisecond), "ms-p99")
	b.ReportMetric(float64((after.nodes-before.nodes).Microseconds())/float64(b.N), "nodes-µs/op")
	b.ReportMetric(float64((after.database-before.database).Microseconds())/float64(b.N), "database-µs/op")
}

// What each request asks of the store is what the page on growth says, on each engine.
func TestGrowthDocsSayWhatEachRequestAsksOfTheStore(t *testing.T) {
	page := repositoryFile(t, "caddymodule/docs/growth.md")
	for _, engine := range []string{"redis", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			f := newFleet(t, 1, engine)
			c := f.newCaller(0)
			for _, token := range f.book.apiTokens { // their first use of the hour is noted
				c.exchange(token).want(t, "an API token", http.StatusOK)
			}
			c.counts = true
			for _, o := range fleetOperations {
				c.prepares(o)
				for range 7 { // a look for revocations may fall into one of them
					o.do(c)
				}
			}
			for name, calls := range f.book.calls {
				slices.SortFunc(calls, func(a, b servertest.Calls) int { return a.Reads + a.Writes - b.Reads - b.Writes })
				row := fmt.Sprintf("| %s | %d | %d |\n", name, calls[len(calls)/2].Reads, calls[len(calls)/2].Writes)
				if !strings.Contains(page, row) {
					t.Errorf("docs/growth.md has no row %s", row)
				}
			}
		})
	}
}
