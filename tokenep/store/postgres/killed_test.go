package postgres

import (
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// What PostgreSQL acknowledged is there after a kill -9.
func TestKilled(t *testing.T) {
	s := servertest.For(t, servertest.Postgres)
	storetest.RunKilled(t, storetest.Killable{
		Open: func(t *testing.T) store.Store { return open(t, s.URL, Options{}) },
		Kill: s.Kill, Start: s.Start,
	})
}
