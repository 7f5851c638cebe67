package record_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/internal/record/enginetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

type counter struct {
	N int `json:"n"`
}

func add(c *counter, _ *time.Time) (bool, error) { c.N++; return true, nil }

func TestEachOfManyUpsertsCounts(t *testing.T) {
	s := enginetest.Memory(t, time.Now)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := record.Upsert(t.Context(), s, "counter", "a", add); err != nil {
				t.Errorf("Upsert: %v", err)
			}
		})
	}
	wg.Wait()
	got, err := record.Load[counter](t.Context(), s, "counter", "a")
	if err != nil || got.Value.N != 50 || got.Version != 50 {
		t.Errorf("%+v, %v, want 50", got, err)
	}
}

func TestChangeMakesNoRecord(t *testing.T) {
	s := enginetest.Memory(t, time.Now)
	if _, err := record.Change(t.Context(), s, "counter", "a", add); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Change: %v, want store.ErrNotFound", err)
	}
}

// What edit says is done: a write, or none, and its error is returned either way.
func TestEditSaysWhatIsWritten(t *testing.T) {
	errEdit := errors.New("edit")
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	for name, row := range map[string]struct {
		write   bool
		err     error
		version uint64
	}{
		"write":            {true, nil, 2},
		"no write":         {false, nil, 1},
		"write and refuse": {true, errEdit, 2},
		"refuse":           {false, errEdit, 1},
	} {
		s := enginetest.Memory(t, time.Now)
		if err := record.Insert(t.Context(), s, "counter", "a", counter{1}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		got, err := record.Change(t.Context(), s, "counter", "a", func(c *counter, e *time.Time) (bool, error) {
			c.N, *e = 2, expires
			return row.write, row.err
		})
		if !errors.Is(err, row.err) || got.Value.N != 2 || (row.write && got.Version != row.version) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		stored, err := record.Load[counter](t.Context(), s, "counter", "a")
		if err != nil || stored.Version != row.version || stored.Expires.Equal(expires) != row.write {
			t.Errorf("%s: stored %+v, %v", name, stored, err)
		}
	}
}

func TestChangeThatNeverWinsIsAConflict(t *testing.T) {
	f := storetest.NewFaulty(enginetest.Memory(t, time.Now))
	if err := record.Insert(t.Context(), f, "counter", "a", counter{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	f.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb == "Swap" {
			return storetest.Conflict
		}
		return storetest.None
	})
	tries := 0
	_, err := record.Change(t.Context(), f, "counter", "a", func(c *counter, _ *time.Time) (bool, error) {
		tries++
		return true, nil
	})
	if !errors.Is(err, store.ErrConflict) || tries != record.Attempts {
		t.Errorf("%v after %d tries, want store.ErrConflict after %d", err, tries, record.Attempts)
	}
}

func TestDamagedRecordIsNoUnknownOne(t *testing.T) {
	s := enginetest.Memory(t, time.Now)
	if err := s.Insert(t.Context(), store.Record{Kind: "counter", ID: "a", Data: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	_, loadErr := record.Load[counter](t.Context(), s, "counter", "a")
	_, upsertErr := record.Upsert(t.Context(), s, "counter", "a", add)
	for _, err := range []error{loadErr, upsertErr} {
		if err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v, want an error of its own", err)
		}
	}
}

// Computed with openssl.
func TestHashID(t *testing.T) {
	if got, want := record.HashID("secret"), "K7gNU3sdo-OL0wNhqoVWhr3g6s1xYv72ol_pe_Unols"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
