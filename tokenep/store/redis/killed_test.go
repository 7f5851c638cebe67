package redis

import (
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// What Redis acknowledged is there after a kill -9, with appendfsync always.
func TestKilled(t *testing.T) {
	s := servertest.For(t, servertest.Redis)
	storetest.RunKilled(t, storetest.Killable{
		Open: func(t *testing.T) store.Store { return open(t, s.URL, Options{}) },
		Kill: s.Kill, Start: s.Start,
	})
}
