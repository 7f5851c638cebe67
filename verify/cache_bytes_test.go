package verify_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// A client that mints without end gets no more memory than there is for all, whatever its tokens
// are like, and evicts its own. What the cache counts is no less than the heap has.
func TestCacheHeavyTokens(t *testing.T) {
	for name, heavy := range map[string]any{
		"objects": slices.Repeat([]map[string]any{{}}, 500),
		"members": slices.Repeat([]map[string]any{{"a": 1}}, 400),
		"lists":   slices.Repeat([][]any{{}}, 900),
		"text":    strings.Repeat("x", 5000),
		"number":  json.Number(strings.Repeat("1", 5000)),
		"nothing": nil, // an ordinary token
	} {
		t.Run(name, func(t *testing.T) {
			cache := verify.NewCache(500, nil)
			issuer := verifytest.New(testIssuer, testAPI)
			v := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = cache })
			honest := make([]string, 10)
			for i := range honest {
				honest[i] = issuer.Sign(verifytest.Claims{"client_id": fmt.Sprint("honest ", i)})
				expect(t, v, honest[i], "ok")
			}
			before := heap()
			for i := range 1000 {
				expect(t, v, issuer.Sign(verifytest.Claims{"client_id": "greedy", "n": i, "x": heavy}), "ok")
				if held, most := cache.Stats().Bytes, cache.MostBytes(); held > most {
					t.Fatalf("%d bytes of %d after %d tokens", held, most, i)
				}
			}
			held := cache.Stats().Bytes
			if inHeap := heap() - before; inHeap > held {
				t.Errorf("%d bytes in the heap, %d counted", inHeap, held)
			}
			for _, raw := range honest {
				if !cache.Holds(raw) {
					t.Error("an honest token was evicted")
				}
			}
			t.Logf("%d tokens of %d bytes", cache.Len(), held/cache.Len())
			runtime.KeepAlive(v)
		})
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// What an issuer has just signed weighs more once it was presented; so does what many present at
// once, and is counted once. A token that would have a small cache alone is known, and not kept.
func TestCacheWeighsWhatIsPresented(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	key, err := issuer.KeySet().Key(t.Context(), "ES256", "ES256")
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1, 2, 50} {
		cache := verify.NewCache(limit, nil)
		v := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = cache })
		for i := range 100 {
			raw := issuer.Sign(verifytest.Claims{"n": i, "x": strings.Repeat("x", 40*i)})
			cache.Insert(raw, key, testIssuer, "c", time.Now().Add(time.Hour))
			known := cache.Stats().Bytes
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() { expect(t, v, raw, "ok") })
			}
			all.Wait()
			held, most := cache.Stats().Bytes, cache.MostBytes()
			expect(t, v, raw, "ok")
			if again := cache.Stats().Bytes; again != held || held > most || i == 0 && held <= known {
				t.Fatalf("limit %d: of %d bytes it had %d, then %d, then %d", limit, most, known, held, again)
			}
			if limit == 1 && !cache.Holds(raw) {
				t.Fatalf("token %d is not known", i)
			}
		}
	}
}
