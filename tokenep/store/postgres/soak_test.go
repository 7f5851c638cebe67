package postgres

import (
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// The slack is shorter by the same factor as the day.
func TestSoak(t *testing.T) {
	server := servertest.For(t, servertest.Postgres, "fsync=off")
	s := open(t, server.URL, Options{SweepInterval: -1, slack: time.Minute / time.Duration(storetest.Scale())})
	storetest.RunSoak(t, storetest.Soak{
		Store: s, Now: time.Now, Sweep: s.Sweep, Slack: s.slack,
		Held: func(t *testing.T) storetest.Held {
			var rows, expiring int
			must(t, s.pool.QueryRow(t.Context(), "SELECT count(*), count(expires_at) FROM oauth_records").Scan(&rows, &expiring))
			return storetest.Held{All: map[string]int{"rows": rows}, Expiring: map[string]int{"rows that expire": expiring}}
		},
	})
}
