package caddymodule_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// book is what a fleet has answered.
type book struct {
	t testing.TB

	mu        sync.Mutex
	times     map[string][]time.Duration // of what was answered as it should be
	calls     map[string][]servertest.Calls
	notes     map[string]map[string]int // what else was answered, and how often
	jtis      map[string]struct{}
	lags      []time.Duration // from revocations to the refusal by each node
	over      []*codeFlow     // which have ended
	kept      []*codeFlow     // which go on
	apiTokens []string
	mistakes  int
}

func (b *book) took(name string, took time.Duration, calls servertest.Calls) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.times == nil {
		b.times, b.calls = make(map[string][]time.Duration), make(map[string][]servertest.Calls)
	}
	b.times[name] = append(b.times[name], took)
	b.calls[name] = append(b.calls[name], calls)
}

func (b *book) note(name, what string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.notes == nil {
		b.notes = make(map[string]map[string]int)
	}
	if b.notes[name] == nil {
		b.notes[name] = make(map[string]int)
	}
	b.notes[name][what] += n
}

// wrong is an answer that there must not be. The first ones are shown.
func (b *book) wrong(name string, a response) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mistakes++; b.mistakes <= 10 {
		b.t.Errorf("%s: %d %v %.300s", name, a.status, a.header, a.body)
	}
}

// issued takes down an access token, whose jti nobody else's has (RFC 9068 §2.2).
func (b *book) issued(token string) {
	var claims struct{ JTI string }
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.jtis == nil {
		b.jtis = make(map[string]struct{})
	}
	if _, twice := b.jtis[claims.JTI]; twice || err != nil || claims.JTI == "" {
		b.t.Errorf("the jti %q was there before: %v; %v", claims.JTI, twice, err)
	}
	b.jtis[claims.JTI] = struct{}{}
}

func (b *book) refused(after time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lags = append(b.lags, after)
}

func (b *book) keep(f *codeFlow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, f)
}

func (b *book) ended(f *codeFlow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = append(b.over, f)
}

// log shows what was answered, and how fast.
func (b *book) log(t testing.TB, lasted time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	total := 0
	for _, times := range b.times {
		total += len(times)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d requests in %s, %.0f a second; %d tokens, no jti twice\n", total, lasted.Round(time.Second), float64(total)/lasted.Seconds(), len(b.jtis))
	for _, name := range slices.Sorted(maps.Keys(b.times)) {
		fmt.Fprintf(&text, "%-36s %7d  %s", name, len(b.times[name]), spread(b.times[name]))
		for _, what := range slices.Sorted(maps.Keys(b.notes[name])) {
			fmt.Fprintf(&text, "; %d × %s", b.notes[name][what], what)
		}
		text.WriteString("\n")
	}
	fmt.Fprintf(&text, "%-36s %7d  %s\n", "from a revocation to the refusal", len(b.lags), spread(b.lags))
	t.Log("\n" + text.String())
}

// spread is the median, the 99th percentile and the most.
func spread(times []time.Duration) string {
	if len(times) == 0 {
		return "none"
	}
	slices.Sort(times)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("p50 %6.1f ms, p99 %6.1f ms, max %6.0f ms", ms(times[len(times)/2]), ms(times[len(times)*99/100]), ms(times[len(times)-1]))
}

// work is how long processors have worked for the nodes of a fleet, and for its database.
type work struct{ nodes, database time.Duration }

func (f *fleet) work() (w work) {
	for _, n := range f.nodes {
		w.nodes += n.worked()
	}
	w.database = f.server.Worked()
	return w
}

// logWork shows how long processors have worked, and for whom, and what the store has.
func (f *fleet) logWork() {
	f.t.Helper()
	w := f.work()
	f.t.Logf("%d rounds; processor time: the nodes %s, the database %s, the callers %s", f.rounds, w.nodes.Round(time.Second),
		w.database.Round(time.Second), servertest.Worked(os.Getpid()).Round(time.Second))
	kinds, err := f.figures.Kinds(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	bytes, err := f.figures.Bytes(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	records := 0
	for _, kind := range kinds {
		records += kind.Records
		f.t.Logf("%d records of %s with %d bytes each", kind.Records, kind.Name, kind.Bytes)
	}
	f.t.Logf("%d records with %d bytes each, with indexes", records, bytes/max(1, records))
}

// settle holds every answer against what all nodes say at the end: of each family that goes on the
// last refresh token has one successor, whoever is asked, and an old one ends it; what was revoked
// is refused everywhere; API tokens are good.
func (f *fleet) settle(callers []*caller) {
	for _, c := range callers {
		f.book.kept = append(f.book.kept, c.families...)
	}
	var settling sync.WaitGroup
	for i, c := range callers {
		settling.Go(func() {
			for n := i; n < len(f.book.kept) && !f.t.Failed(); n += len(callers) {
				c.settles(f.book.kept[n], n)
			}
			for n := i; n < len(f.book.over) && !f.t.Failed(); n += len(callers) {
				for node := range f.nodes {
					over := *f.book.over[n]
					over.proxy = c.at(node)
					over.get(over.accessToken).want(f.t, "a token that was revoked", http.StatusUnauthorized)
					over.refresh().isInvalidGrant(f.t, "a refresh token that was revoked")
				}
			}
		})
	}
	settling.Wait()
	for _, token := range f.book.apiTokens {
		for _, n := range f.nodes {
			n.exchange(token).want(f.t, "an API token", http.StatusOK)
		}
	}
	f.t.Logf("%d families go on, %d have ended: as they were told", len(f.book.kept), len(f.book.over))
}

// settles holds a family that goes on against its client's last answer.
func (c *caller) settles(f *codeFlow, n int) {
	t, last := c.t, f.refreshToken
	got := make([]codeFlow, 2) // from two nodes at once
	var both sync.WaitGroup
	for i := range got {
		got[i] = *f
		got[i].proxy = c.at((n + i) % len(c.sites))
		both.Go(func() { got[i].refresh().want(t, f.user+": the last refresh token", http.StatusOK) })
	}
	both.Wait()
	if next := got[0].refreshToken; next != got[1].refreshToken || f.client.public() == (next == last) {
		t.Errorf("%s: a refresh token has two successors, or none", f.user)
	}
	third := c.at((n + 2) % len(c.sites))
	got[0].proxy = third
	third.get(got[1].accessToken).want(t, f.user+": the access token", http.StatusOK)
	got[0].refresh().want(t, f.user+": the successor", http.StatusOK)
	if !f.client.public() {
		return
	}
	got[0].reuse().isInvalidGrant(t, f.user+": a refresh token that was spent")
	got[1].refresh().isInvalidGrant(t, f.user+": the family of one that was used again")
}
