package storetest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

var rules = []struct {
	name string
	says string
	test func(t *testing.T, s store.Store)
}{
	{"insert", "what Insert stored, Load returns as version 1, whatever Version was given", testInsert},
	{"insert twice", "Insert of an id that exists is ErrExists and changes nothing", testInsertTwice},
	{"load missing", "Load of a record that was never inserted is ErrNotFound, even if another kind has the id", testLoadMissing},
	{"swap", "Swap stores the data and expiry of next as version old.Version+1", testSwap},
	{"stale swap", "Swap of a version that is no longer stored is ErrConflict and changes nothing", testStaleSwap},
	{"swap of what is gone", "Swap of a record that was deleted or never inserted is ErrConflict and stores nothing", testSwapGone},
	{"delete", "Delete removes a record, and it is not an error if there is none", testDelete},
	{"insert again", "after Delete, Insert may use the id again and starts at version 1", testInsertAgain},
	{"list", "List returns the ids that begin with prefix and are greater than after, in the order of their bytes", testList},
	{"nothing shared", "an engine keeps no reference to what it is passed, and what it returns belongs to the caller", testNothingShared},
	{"any id", "an id is any 1 to 128 bytes, and different ids are different records", testAnyID},
	{"data", "Data is up to 64 KiB and comes back as it was; nil and empty are the same", testData},
	{"limits", "what is outside the limits is ErrInvalid and stores nothing", testLimits},
	{"done context", "with a context that is done a verb does nothing and returns the context's error", testDoneContext},
	{"ending context", "a write that returned nil was done, even if its context ended meanwhile", testEndingContext},
	{"one insert wins", "of concurrent Inserts of one id exactly one succeeds", testOneInsert},
	{"one swap wins", "of concurrent Swaps of one version exactly one succeeds, and the others are ErrConflict", testOneSwap},
	{"one record", "a conflict on one record does not affect another", testIndependent},
	{"chain of versions", "versions increase by one, each is written by one caller, and seen by all from then on", testChain},
	{"list while others write", "a record that exists all the time is in the pages of a List exactly once", testListPages},
	{"expires", "Expires comes back in UTC, rounded up to the millisecond, and Swap changes it", testExpires},
	{"kept until it expires", "a record is kept before it expires, however many others have", testKept},
	{"expired", "an expired record is like any other until it is gone", testExpired},
	{"model", "any sequence of verbs answers as a map with versions would", testModel},
}

// Run tests the contract. It calls newStore for each rule; newStore closes the store with
// t.Cleanup.
func Run(t *testing.T, newStore func(t *testing.T) store.Store) {
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("rule broken: %s", rule.says)
				}
			})
			rule.test(t, newStore(t))
		})
	}
}

const kind = "thing"

// must stops the test if there is an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// want reports an error that is not the expected one.
func want(t testing.TB, verb string, err, expected error) {
	t.Helper()
	if !errors.Is(err, expected) {
		t.Errorf("%s: error %v, want %v", verb, err, expected)
	}
}

// has reports a record that is not stored with this version and data.
func has(t testing.TB, s store.Store, id string, version uint64, data string) {
	t.Helper()
	r, err := s.Load(t.Context(), kind, id)
	must(t, err)
	same(t, r, store.Record{Kind: kind, ID: id, Version: version, Data: []byte(data)})
}

// same reports what differs between two records.
func same(t testing.TB, got, expected store.Record) {
	t.Helper()
	if got.Kind != expected.Kind || got.ID != expected.ID {
		t.Errorf("record %q %q, want %q %q", got.Kind, got.ID, expected.Kind, expected.ID)
	}
	if got.Version != expected.Version {
		t.Errorf("record %q: version %d, want %d", got.ID, got.Version, expected.Version)
	}
	if !bytes.Equal(got.Data, expected.Data) {
		t.Errorf("record %q: %d bytes of data, not the %d that were stored", got.ID, len(got.Data), len(expected.Data))
	}
	if !got.Expires.Equal(expected.Expires) {
		t.Errorf("record %q: expires %v, want %v", got.ID, got.Expires, expected.Expires)
	}
}
