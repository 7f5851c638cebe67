package verify_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// A set is fetched when it is needed, and again when it is due; one that has not changed is not
// sent again (RFC 9110 §13.1.2).
func TestURLKeys(t *testing.T) {
	s := newKeyServer(t, "")
	s.serve(keySetOf("a"), `"1"`)
	if s.fetches.Load() != 0 {
		t.Error("something was fetched before it was needed")
	}
	s.expect(t, "a", nil, 1)
	s.clock.Advance(225*time.Second - 1) // three quarters of its life
	s.expect(t, "a", nil, 1)
	s.clock.Advance(30*time.Second + 1) // a tenth more
	s.expect(t, "a", nil, 2)
	if s.same.Load() != 1 {
		t.Error("the ETag was not sent back")
	}
	s.serve(keySetOf("b"), `"2"`)
	s.clock.Advance(5 * time.Minute)
	s.expect(t, "a", nil, 3) // in the background
	s.expect(t, "b", nil, 3)
	s.expect(t, "a", verify.ErrUnknownKey, 3) // withdrawn
	s.clock.Advance(-time.Hour)               // the clock was set back
	s.expect(t, "b", nil, 4)
	if s.log.Len() != 0 {
		t.Errorf("it logs %s", &s.log)
	}
	s.serve(`{"keys":[]}`, "")
	s.clock.Advance(5 * time.Minute)
	s.expect(t, "b", nil, 5)
	s.expect(t, "b", verify.ErrUnknownKey, 5)
}

// Processes that have started at once do not fetch at once, but after four fifths of five minutes,
// more or less.
func TestURLKeysJitter(t *testing.T) {
	s := newKeyServer(t, keySetOf("a"))
	moments := map[time.Duration]bool{}
	for range 20 {
		keys := s.at(t, s.URL+"/jwks")
		if _, err := keys.Key(t.Context(), "a", "ES256"); err != nil {
			t.Fatal(err)
		}
		due := keys.Due()
		if due < 225*time.Second || due > 255*time.Second {
			t.Errorf("fetched again after %v", due)
		}
		moments[due] = true
	}
	if len(moments) < 10 {
		t.Errorf("%d sets are fetched again at %d moments", 20, len(moments))
	}
}

// A set that nobody has asked for in a while is fetched before it is used: what it says may have
// been withdrawn long ago.
func TestURLKeysAfterSilence(t *testing.T) {
	s := newKeyServer(t, keySetOf("a"))
	s.expect(t, "a", nil, 1)
	s.serve(keySetOf("b"), "")
	s.clock.Advance(10 * time.Minute)
	s.expect(t, "a", verify.ErrUnknownKey, 2)
}

// While a set is fetched that is due, the old one is used, and nobody waits.
func TestURLKeysRefreshInTheBackground(t *testing.T) {
	s := newKeyServer(t, keySetOf("a"))
	s.expect(t, "a", nil, 1)
	held, release := make(chan bool), make(chan bool)
	s.do(func(http.ResponseWriter, *http.Request) { held <- true; <-release })
	s.clock.Advance(5 * time.Minute)
	for range 3 {
		if _, err := s.Key(t.Context(), "a", "ES256"); err != nil {
			t.Error(err)
		}
	}
	<-held
	if _, err := s.Key(t.Context(), "a", "ES256"); err != nil {
		t.Error(err)
	}
	close(release)
	s.Settle()
	if n := s.fetches.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

// A kid that is not in the set may be that of a new key: all who ask for it wait for one fetch. The
// next fetch is ten seconds away, whatever is asked for.
func TestURLKeysUnknownKeyID(t *testing.T) {
	s := newKeyServer(t, keySetOf("a"))
	s.expect(t, "a", nil, 1)
	s.clock.Advance(verify.FetchSpacing)
	held, release := make(chan bool), make(chan bool)
	s.do(func(w http.ResponseWriter, _ *http.Request) {
		held <- true
		<-release
		_, _ = w.Write([]byte(keySetOf("a", "new")))
	})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := s.Key(t.Context(), "new", "ES256"); err != nil {
				t.Error(err)
			}
		})
	}
	<-held
	if _, err := s.Key(t.Context(), "a", "ES256"); err != nil {
		t.Error("a known key waits:", err)
	}
	close(release)
	all.Wait()
	for i := range 50 {
		s.expect(t, fmt.Sprint("guess", i), verify.ErrUnknownKey, 2)
	}
	s.clock.Advance(verify.FetchSpacing - 1)
	s.expect(t, "guess", verify.ErrUnknownKey, 2)
	s.serve(keySetOf("a", "new"), "")
	s.clock.Advance(1)
	s.expect(t, "guess", verify.ErrUnknownKey, 3)
}

// RFC 5861 §4: while the set cannot be fetched, the last good version stays in force for a day.
// Whether a key that is not in it has become one is not known.
func TestURLKeysStaleIfError(t *testing.T) {
	s := newKeyServer(t, keySetOf("a"))
	s.expect(t, "a", nil, 1)
	s.do(s.fail)
	n := int64(1)
	for age := 5 * time.Minute; age < 24*time.Hour; age += 5 * time.Minute {
		s.clock.Advance(5 * time.Minute)
		n++
		s.expect(t, "a", nil, n)
	}
	s.expect(t, "new", verify.ErrUnavailable, n)
	s.clock.Advance(5 * time.Minute)
	s.expect(t, "a", verify.ErrUnavailable, n+1)
	s.expect(t, "a", verify.ErrUnavailable, n+1) // at once
	if lines := strings.Count(s.log.String(), "level=ERROR"); lines != 1 {
		t.Errorf("one problem was logged %d times", lines)
	}
	if !strings.Contains(s.log.String(), "keeping the previous keys") {
		t.Errorf("the log does not say what holds: %s", &s.log)
	}
	s.serve(keySetOf("a"), "")
	s.clock.Advance(verify.FetchSpacing)
	s.expect(t, "a", nil, n+2)
	if !strings.Contains(s.log.String(), "can be fetched again") {
		t.Error("the log does not say that it is over")
	}
}

// Answers that are not a key set, or come from where nobody wanted them from. The good version
// stays.
func TestURLKeysBadAnswers(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keySetOf("b"))) }))
	defer other.Close()
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	padded := keySetOf("a", "b") + strings.Repeat(" ", verify.MaxFetched-len(keySetOf("a", "b")))
	for _, row := range []struct {
		name   string
		answer http.HandlerFunc
		why    string // a part of the error; empty: it is good
	}{
		{"1 MiB", text(padded), ""},
		{"1 MiB and a byte", text(padded + " "), "larger than"},
		{"without end", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<16))
			}
		}, "larger than"},
		{"a large header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<17))
			_, _ = w.Write([]byte(keySetOf("b")))
		}, "header"},
		{"no JSON", text("<html>"), "not a JSON object"},
		{"nothing", text(""), "not a JSON object"},
		{"a private key", text(`{"keys":[{"kty":"oct","k":"AA"}]}`), "private or symmetric"},
		{"compressed, unasked", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("\x1f\x8b"))
		}, "not a JSON object"},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "status 204"},
		{"304 for nothing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, "status 304"},
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "status 404"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }, "status 302"},
		{"a redirect for good", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusPermanentRedirect)
		}, "status 308"},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}, "deadline exceeded"},
		{"a body that stops", func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"keys":`))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}, "deadline exceeded"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newKeyServer(t, keySetOf("a"))
			s.expect(t, "a", nil, 1)
			if row.why == "deadline exceeded" {
				s.SetTimeout(100 * time.Millisecond)
			}
			s.do(row.answer)
			s.clock.Advance(verify.FetchSpacing)
			_, err := s.Key(t.Context(), "b", "ES256")
			if row.why == "" && err != nil || row.why != "" && (!errors.Is(err, verify.ErrUnavailable) || !strings.Contains(err.Error(), row.why)) {
				t.Errorf("%v, want %q", err, row.why)
			}
			if _, err := s.Key(t.Context(), "a", "ES256"); err != nil {
				t.Error("the good version is gone:", err)
			}
		})
	}
}

// Nobody waits for longer than the own request lasts; the fetch goes on for the others.
func TestURLKeysOfARequestThatEnds(t *testing.T) {
	s := newKeyServer(t, keySetOf("a"))
	held, release := make(chan bool), make(chan bool)
	s.do(func(w http.ResponseWriter, _ *http.Request) {
		held <- true
		<-release
		_, _ = w.Write([]byte(keySetOf("a")))
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-held; cancel() }()
	if _, err := s.Key(ctx, "a", "ES256"); !errors.Is(err, verify.ErrUnavailable) {
		t.Error(err)
	}
	close(release)
	s.expect(t, "a", nil, 1)
}

// A certificate of somebody else, and one of nobody known, are refused.
func TestURLKeysTLS(t *testing.T) {
	s := newKeyServer(t, keySetOf("a"))
	strange, err := verify.NewURLKeys(s.URL, verify.URLKeysOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	named := s.at(t, strings.Replace(s.URL, "127.0.0.1", "localhost", 1))
	for name, keys := range map[string]*verify.URLKeys{"an unknown authority": strange, "another name": named} {
		if _, err := keys.Key(t.Context(), "a", "ES256"); !errors.Is(err, verify.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// panics is a log that cannot be written.
type panics struct{ slog.Handler }

func (panics) Enabled(context.Context, slog.Level) bool           { return true }
func (panics) Handle(_ context.Context, record slog.Record) error { panic("at " + record.Message) }

// A panic in a fetch is an error of the fetch, and the next one may be good.
func TestURLKeysPanic(t *testing.T) {
	s := newKeyServer(t, `{}`) // no key set, which is logged
	keys, err := verify.NewURLKeys(s.URL+"/jwks", verify.URLKeysOptions{RootCAs: s.roots, Now: s.clock.Now, Logger: slog.New(panics{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Settle)
	if _, err := keys.Key(t.Context(), "a", "ES256"); !errors.Is(err, verify.ErrUnavailable) || !strings.Contains(err.Error(), "a panic: at ") {
		t.Fatalf("%v", err)
	}
	s.serve(keySetOf("a"), "")
	s.clock.Advance(time.Minute)
	if _, err := keys.Key(t.Context(), "a", "ES256"); !errors.Is(err, verify.ErrUnavailable) || !strings.Contains(err.Error(), "fetched again") {
		t.Fatalf("%v", err)
	}
}
