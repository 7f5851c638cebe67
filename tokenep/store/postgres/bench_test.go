package postgres

import (
	"context"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

func BenchmarkInsert(b *testing.B) { bench(b).Insert(b) }
func BenchmarkLoad(b *testing.B)   { bench(b).Load(b) }
func BenchmarkSwap(b *testing.B)   { bench(b).Swap(b) }

// bench compares with a bare UPDATE of one row and a bare SELECT, of a table with a row for each
// caller. As in production, each write is on disk before it is answered.
func bench(b *testing.B) storetest.Bench {
	b.Helper()
	s := open(b, servertest.For(b, servertest.Postgres).URL, Options{})
	for _, sql := range []string{
		"CREATE TABLE bare (id int PRIMARY KEY, data bytea) WITH (fillfactor = 80)",
		"INSERT INTO bare SELECT i, '' FROM generate_series(0, 15) AS i",
	} {
		_, err := s.pool.Exec(b.Context(), sql)
		must(b, err)
	}
	return storetest.Bench{Store: s, Write: func(caller int) error {
		_, err := s.pool.Exec(context.Background(), "UPDATE bare SET data = $2 WHERE id = $1", caller, make([]byte, 200))
		return err
	}, Read: func(caller int) error {
		var data []byte
		return s.pool.QueryRow(context.Background(), "SELECT data FROM bare WHERE id = $1", caller).Scan(&data)
	}}
}
