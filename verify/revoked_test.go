package verify_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 7009 §2.1: one token, or all of a grant, a client or a subject.
func TestRevoked(t *testing.T) {
	issued := time.Unix(1_800_000_000, 0)
	token := &verify.Token{ID: "id", ClientID: "client", Subject: "subject", GrantID: "grant", IssuedAt: issued,
		Claims: map[string]any{"role": "admin"},
		Ancestors: []verify.Ancestor{
			{ID: "parent", GrantID: "old grant", ClientID: "old client", Subject: "old subject", IssuedAt: issued.Add(-time.Hour)},
			{GrantID: "credential"},
		}}
	undated := &verify.Token{Subject: "subject"}
	tests := []struct {
		name  string
		entry verify.Revocation
		token *verify.Token
		want  bool
	}{
		{"jti", verify.Revocation{Claim: "jti", Value: "id"}, token, true},
		{"grant_id", verify.Revocation{Claim: "grant_id", Value: "grant"}, token, true},
		{"client_id", verify.Revocation{Claim: "client_id", Value: "client"}, token, true},
		{"sub", verify.Revocation{Claim: "sub", Value: "subject"}, token, true},
		{"another value", verify.Revocation{Claim: "jti", Value: "other"}, token, false},
		{"the value of another claim", verify.Revocation{Claim: "jti", Value: "subject"}, token, false},
		{"a claim that is not looked at", verify.Revocation{Claim: "role", Value: "admin"}, token, false},
		{"no value", verify.Revocation{Claim: "jti"}, undated, false},
		{"issued before", verify.Revocation{Claim: "sub", Value: "subject", Before: issued.Add(1)}, token, true},
		{"issued then", verify.Revocation{Claim: "sub", Value: "subject", Before: issued}, token, true},
		{"issued after", verify.Revocation{Claim: "sub", Value: "subject", Before: issued.Add(-1)}, token, false},
		{"issued nobody knows when", verify.Revocation{Claim: "sub", Value: "subject", Before: issued}, undated, true},
		{"an ancestor's jti", verify.Revocation{Claim: "jti", Value: "parent"}, token, true},
		{"an ancestor's grant_id", verify.Revocation{Claim: "grant_id", Value: "old grant"}, token, true},
		{"an ancestor's client_id", verify.Revocation{Claim: "client_id", Value: "old client"}, token, true},
		{"an ancestor's sub", verify.Revocation{Claim: "sub", Value: "old subject"}, token, true},
		{"the last ancestor's", verify.Revocation{Claim: "grant_id", Value: "credential"}, token, true},
		{"an ancestor's, in another claim", verify.Revocation{Claim: "jti", Value: "old grant"}, token, false},
		{"of that client", verify.Revocation{Claim: "sub", Value: "subject", ClientID: "client"}, token, true},
		{"of another client", verify.Revocation{Claim: "sub", Value: "subject", ClientID: "old client"}, token, false},
		{"an ancestor's, of that client", verify.Revocation{Claim: "sub", Value: "old subject", ClientID: "old client"}, token, true},
		{"an ancestor's, of another client", verify.Revocation{Claim: "sub", Value: "old subject", ClientID: "client"}, token, false},
		{"an ancestor issued before", verify.Revocation{Claim: "sub", Value: "old subject", Before: issued.Add(-time.Hour)}, token, true},
		{"an ancestor issued after", verify.Revocation{Claim: "sub", Value: "old subject", Before: issued.Add(-time.Hour - 1)}, token, false},
		{"an ancestor that was not issued, before", verify.Revocation{Claim: "grant_id", Value: "credential", Before: issued}, token, true},
		{"an ancestor that was not issued, after", verify.Revocation{Claim: "grant_id", Value: "credential", Before: issued.Add(-1)}, token, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var r verify.Revocations
			if r.Revoked(test.token) {
				t.Fatal("revoked by nothing")
			}
			r.Add(test.entry)
			if got := r.Revoked(test.token); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
	if (*verify.Revocations)(nil).Revoked(token) {
		t.Error("revoked by a nil set")
	}
}

// A token stays revoked until the last of its entries has expired. An entry that another covers
// takes no memory.
func TestRevocationsOverlap(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(1_800_000_000+seconds, 0) }
	entry := func(before, expires time.Time) verify.Revocation {
		return verify.Revocation{Claim: "sub", Value: "s", Before: before, Expires: expires}
	}
	token := &verify.Token{Subject: "s", IssuedAt: at(5)}
	var r verify.Revocations
	steps := []struct {
		name    string
		add     verify.Revocation
		entries int
	}{
		{"first", entry(at(0), at(100)), 1},
		{"the same", entry(at(0), at(100)), 1},
		{"shorter", entry(at(0), at(50)), 1},
		{"later tokens too, forgotten sooner", entry(at(10), at(50)), 2},
		{"more than both", entry(at(10), at(200)), 1},
		{"every token, for a while", entry(time.Time{}, at(20)), 2},
		{"every token, longer", entry(time.Time{}, at(300)), 1},
	}
	for _, step := range steps {
		if r.Add(step.add); r.Len() != step.entries {
			t.Errorf("%s: %d entries, want %d", step.name, r.Len(), step.entries)
		}
	}
	if r.Sweep(at(299)); !r.Revoked(token) || r.Len() != 1 {
		t.Error("forgotten too soon")
	}
	if r.Sweep(at(300)); r.Revoked(token) || r.Len() != 0 {
		t.Error("not forgotten")
	}
	r.Add(entry(time.Time{}, time.Time{}))
	if r.Sweep(at(1 << 40)); !r.Revoked(token) {
		t.Error("an entry without end was forgotten")
	}
}

// Readers do not wait for the end of a sweep: an answer while some of the expired entries are gone
// comes between two steps. On a busy machine the reader may not run at all before a sweep has
// ended, so there are several.
func TestSweepLetsReadersIn(t *testing.T) {
	between := 0
	for sweeps := 0; between == 0 && sweeps < 50; sweeps++ {
		between = readsDuringSweep(t)
	}
	if between == 0 {
		t.Error("no reader had an answer before the sweep had ended")
	}
	t.Logf("%d reads during the sweep", between)
}

func readsDuringSweep(t *testing.T) int {
	const entries = 20_000
	var r verify.Revocations
	for i := range entries {
		r.Add(verify.Revocation{Claim: "jti", Value: fmt.Sprint(i), Expires: time.Unix(1, 0)})
	}
	kept := verify.Revocation{Claim: "jti", Value: "kept", Expires: time.Unix(3, 0)}
	r.Add(kept)
	swept := make(chan struct{})
	go func() {
		r.Sweep(time.Unix(2, 0))
		close(swept)
	}()
	between := 0
	for left := r.Len(); left > 1; left = r.Len() {
		if !r.Revoked(&verify.Token{ID: "kept"}) {
			t.Fatal("an entry that has not expired is not in force during a sweep")
		}
		if left <= entries && r.Len() > 1 { // it had begun, and has not ended
			between++
		}
	}
	<-swept
	return between
}

// Entries added during a sweep are neither lost nor kept for ever.
func TestSweepBesideAdd(t *testing.T) {
	var r verify.Revocations
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 5000 {
				id := fmt.Sprint(i, "-", n)
				r.Add(verify.Revocation{Claim: "jti", Value: id, Expires: time.Unix(int64(1+n%2*2), 0)})
				if n%500 == 0 {
					r.Sweep(time.Unix(2, 0))
				}
				if n%2 == 1 && !r.Revoked(&verify.Token{ID: id}) {
					t.Error("lost:", id)
				}
			}
		})
	}
	all.Wait()
	r.Sweep(time.Unix(2, 0))
	if r.Len() != 4*2500 {
		t.Errorf("%d entries are left, want %d", r.Len(), 4*2500)
	}
	r.Sweep(time.Unix(3, 0))
	if r.Len() != 0 {
		t.Errorf("%d entries are left, want none", r.Len())
	}
}

// Run with -race.
func TestRevocationsConcurrently(t *testing.T) {
	var r verify.Revocations
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 200 {
				id := fmt.Sprint(i, "-", n)
				r.Add(verify.Revocation{Claim: "jti", Value: id, Expires: time.Unix(int64(n), 0)})
				if !r.Revoked(&verify.Token{ID: id}) && n > 100 {
					t.Error("not revoked:", id)
				}
				r.Sweep(time.Unix(100, 0))
			}
		})
	}
	all.Wait()
	if r.Len() != 8*99 {
		t.Errorf("%d entries are left, want %d", r.Len(), 8*99)
	}
}

// Ends and Ended are about entries that revoke all there is of a value.
func TestRevocationsEnd(t *testing.T) {
	var set verify.Revocations
	now := time.Now()
	for _, e := range []verify.Revocation{
		{Claim: "grant_id", Value: "all"}, {Claim: "grant_id", Value: "until now", Before: now},
		{Claim: "grant_id", Value: "of a client", ClientID: "web"}, {Claim: "sub", Value: "ann"},
	} {
		set.Add(e)
	}
	for value, want := range map[string]bool{"all": true, "until now": false, "of a client": false, "ann": false, "other": false} {
		if set.Ends("grant_id", value) != want {
			t.Errorf("%s: ends %t", value, !want)
		}
	}
	if got := set.Ended("grant_id"); !slices.Equal(got, []string{"all"}) {
		t.Errorf("ended: %q", got)
	}
	if (*verify.Revocations)(nil).Ends("grant_id", "all") {
		t.Error("a set that is not there ends something")
	}
}
