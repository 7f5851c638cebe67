package redis

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// durable starts a database that has each write on disk before it answers.
func durable(t testing.TB) storetest.Database {
	t.Helper()
	s := servertest.For(t, servertest.Redis)
	return storetest.Database{
		Open: func(t testing.TB, timeout time.Duration) store.Store {
			return open(t, s.URL, Options{Timeout: timeout})
		},
		Kill: s.Kill, Start: s.Start, Pause: s.Pause, Resume: s.Resume, Secret: secret,
	}
}

const secret = "word-of" // a part of each password

func TestAway(t *testing.T) { storetest.RunAway(t, durable(t)) }

// Requests do not pile up while the database hangs.
func TestHangs(t *testing.T) { storetest.RunSilent(t, durable(t)) }

// What Redis has acknowledged survives a kill -9, with appendfsync always.
func TestKilled(t *testing.T) { storetest.RunKilled(t, durable(t)) }

func TestClosed(t *testing.T) {
	s, err := Open(t.Context(), shared.URL(t), Options{Namespace: servertest.Namespace()})
	must(t, err)
	storetest.RunClosed(t, s)
}

func TestApart(t *testing.T) { storetest.RunApart(t, one(t), one(t)) }

func TestWrongPassword(t *testing.T) {
	url := strings.Replace(shared.URL(t), "pass", "wrong-word-of", 1)
	storetest.Unavailable(t, open(t, url, Options{}), secret, 15*time.Second)
}

func TestMalformed(t *testing.T) {
	storetest.RunMalformed(t, func(address string) (store.Store, error) { return Open(t.Context(), address, Options{}) }, "hunter",
		"", "hunter2", "http://user:hunter2@localhost", "redis://user:hun/hunter2@localhost", "redis://user:12/hunter2@localhost",
		"redis://user:%zzhunter2@localhost", "redis://user:hunter2@localhost/zero", "redis://localhost?hunter2=1",
	)
	if _, err := Open(t.Context(), shared.URL(t), Options{Namespace: strings.Repeat("x", 65)}); err == nil {
		t.Error("a namespace of 65 bytes was accepted")
	}
}
