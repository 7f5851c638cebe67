package postgres

import (
	"context"
	"errors"
	"net"
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
	s := servertest.For(t, servertest.Postgres)
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

// What PostgreSQL has acknowledged survives a kill -9.
func TestKilled(t *testing.T) { storetest.RunKilled(t, durable(t)) }

// A verb returns at once when its context is cancelled.
func TestCallerLeaves(t *testing.T) {
	server := durable(t)
	s := server.Open(t, time.Minute)
	_, err := s.Load(t.Context(), kind, "none")
	if !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	server.Pause()
	defer server.Resume()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	_, err = s.Load(ctx, kind, "none")
	if took := time.Since(start); !errors.Is(err, context.Canceled) || took > 10*time.Second {
		t.Errorf("Load whose caller left: %v, after %v", err, took)
	}
}

// Close, and so a reload, does not wait for a database that hangs.
func TestCloseWhileItHangs(t *testing.T) {
	server := servertest.For(t, servertest.Postgres, "fsync=off")
	const timeout = 300 * time.Millisecond
	s := open(t, server.URL, Options{Timeout: timeout})
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "a"}))
	server.Pause()
	defer server.Resume()
	_, err := s.Load(t.Context(), kind, "a")
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Load while the server hangs: %v", err)
	}
	start := time.Now()
	must(t, s.Close())
	if took := time.Since(start); took > 10*timeout {
		t.Errorf("Close took %v, with a time-out of %v", took, timeout)
	}
	_, err = s.Load(t.Context(), kind, "a")
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Load after Close: %v", err)
	}
}

// A server that accepts connections and sends nothing is unavailable too.
func TestSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	s := open(t, "postgres://oauth:"+secret+"@"+l.Addr().String()+"/postgres", Options{Timeout: 200 * time.Millisecond})
	storetest.Unavailable(t, s, secret, 5*time.Second)
}

// If a server was demoted, and refuses writes but keeps its connections, verbs use new connections.
func TestDemoted(t *testing.T) {
	address, admin := database(t, "demoted")
	must(t, open(t, address, Options{SweepInterval: -1}).Insert(t.Context(), store.Record{Kind: kind, ID: "a"}))
	// This setting affects new sessions only.
	_, err := admin.Exec(t.Context(), "ALTER DATABASE demoted SET default_transaction_read_only = on")
	must(t, err)
	s := open(t, address, Options{SweepInterval: -1})
	for range 3 {
		if err := s.Insert(t.Context(), store.Record{Kind: kind, ID: "b"}); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("Insert while nobody takes writes: %v, want %v", err, store.ErrUnavailable)
		}
		_, err := s.Load(t.Context(), kind, "a")
		must(t, err)
	}
	_, err = admin.Exec(t.Context(), "ALTER DATABASE demoted RESET default_transaction_read_only")
	must(t, err)
	for give := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := s.Insert(t.Context(), store.Record{Kind: kind, ID: "b"})
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrUnavailable) || time.Now().After(give) {
			t.Fatalf("Insert when a new connection takes writes: %v", err)
		}
	}
}

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
		"", "hunter2", "postgres://user:hun/hunter2@localhost", "postgres://user:%zzhunter2@localhost", "host=localhost password='hunter2",
		"postgres://user:hunter2@localhost:port/db", "postgres://user:hunter2@localhost/db?sslmode=perhaps",
	)
	if _, err := Open(t.Context(), shared.URL(t), Options{Namespace: strings.Repeat("x", 65)}); err == nil {
		t.Error("a namespace of 65 bytes was accepted")
	}
}
