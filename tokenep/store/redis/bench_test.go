package redis

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

func BenchmarkInsert(b *testing.B) { bench(b).Insert(b) }
func BenchmarkLoad(b *testing.B)   { bench(b).Load(b) }
func BenchmarkSwap(b *testing.B)   { bench(b).Swap(b) }

// bench compares with a bare SET with a time to live, and a bare GET. As in production, each write
// is on disk before it is answered.
func bench(b *testing.B) storetest.Bench {
	b.Helper()
	s := open(b, servertest.For(b, servertest.Redis).URL, Options{})
	set := func(caller int) error {
		return s.client.Set(context.Background(), fmt.Sprint("bare-", caller), make([]byte, 200+head), time.Hour).Err()
	}
	for caller := range storetest.Callers {
		must(b, set(caller))
	}
	return storetest.Bench{Store: s, Write: set, Read: func(caller int) error {
		return s.client.Get(context.Background(), fmt.Sprint("bare-", caller)).Err()
	}}
}
