package postgres

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// With sslmode=verify-full, a server is trusted only with a certificate of the authority in
// sslrootcert for the name in the address.
func TestTLS(t *testing.T) {
	ours, other := servertest.NewTLS(t), servertest.NewTLS(t)
	server := servertest.For(t, servertest.Postgres, "fsync=off", "ssl=on", "ssl_cert_file="+ours.Cert, "ssl_key_file="+ours.Key)
	verified := server.URL + "?sslmode=verify-full&sslrootcert="
	s := open(t, verified+url.QueryEscape(ours.CA), Options{})
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "a"}))
	for name, dsn := range map[string]string{
		"another authority": verified + url.QueryEscape(other.CA),
		"the system's":      server.URL + "?sslmode=verify-full",
		"another name":      strings.Replace(verified+url.QueryEscape(ours.CA), "127.0.0.1", "localhost", 1),
		"no TLS":            strings.Replace(verified+url.QueryEscape(ours.CA), server.URL, shared.URL(t), 1),
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Unavailable(t, open(t, dsn, Options{Timeout: time.Second}), secret, 15*time.Second)
		})
	}
	if _, err := Open(t.Context(), verified+"/none", Options{}); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("Open without the file of the authority: %v", err)
	}
}

// database creates an empty database, and returns its address and a connection to it.
func database(t *testing.T, name string) (string, *pgx.Conn) {
	t.Helper()
	address := shared.URL(t)
	admin, err := pgx.Connect(t.Context(), address)
	must(t, err)
	defer admin.Close(context.Background())
	_, err = admin.Exec(t.Context(), "CREATE DATABASE "+name)
	must(t, err)
	address = strings.Replace(address, "/postgres", "/"+name, 1)
	inside, err := pgx.Connect(t.Context(), address)
	must(t, err)
	t.Cleanup(func() { inside.Close(context.Background()) })
	return address, inside
}

// as returns the address with another user, who has the same password.
func as(t *testing.T, user, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	u.User = url.UserPassword(user, servertest.Password)
	return u.String()
}

// A role that may neither create a table nor read another one can use the existing table.
func TestFewestRights(t *testing.T) {
	address, admin := database(t, "fewest")
	_, err := open(t, address, Options{}).Load(t.Context(), kind, "none") // makes the tables
	if !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"CREATE TABLE theirs (a int)",
		"CREATE ROLE worker LOGIN PASSWORD '" + servertest.Password + "'",
		"GRANT SELECT ON oauth_schema TO worker",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON oauth_records TO worker",
	} {
		_, err := admin.Exec(t.Context(), sql)
		must(t, err)
	}
	address = as(t, "worker", address)
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, address, Options{Namespace: servertest.Namespace()}) })
	s := open(t, address, Options{})
	_, err = s.Sweep(t.Context())
	must(t, err)
	if _, err := s.pool.Exec(t.Context(), "SELECT * FROM theirs"); err == nil {
		t.Error("the role may read another table")
	}
}

// A role that owns only a schema creates the tables there.
func TestSchemaOfItsOwn(t *testing.T) {
	address, admin := database(t, "owned")
	for _, sql := range []string{
		"CREATE ROLE owner LOGIN PASSWORD '" + servertest.Password + "'",
		"CREATE SCHEMA oauth AUTHORIZATION owner",
	} {
		_, err := admin.Exec(t.Context(), sql)
		must(t, err)
	}
	s := open(t, as(t, "owner", address)+"?search_path=oauth", Options{})
	must(t, s.Insert(t.Context(), store.Record{Kind: kind, ID: "a"}))
	var n int
	must(t, admin.QueryRow(t.Context(), "SELECT count(*) FROM oauth.oauth_records").Scan(&n))
	if n != 1 {
		t.Errorf("%d records in the schema, want 1", n)
	}
}

// Of ten processes that find an empty database at once, one creates the tables.
func TestMigrateAtOnce(t *testing.T) {
	address, admin := database(t, "empty")
	var all sync.WaitGroup
	for range 10 {
		s := open(t, address, Options{Timeout: 30 * time.Second})
		all.Go(func() {
			if _, err := s.Load(t.Context(), kind, "none"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the first Load: %v, want %v", err, store.ErrNotFound)
			}
		})
	}
	all.Wait()
	var rows, version int
	must(t, admin.QueryRow(t.Context(), "SELECT count(*), max(version) FROM oauth_schema").Scan(&rows, &version))
	if rows != 1 || version < 1 {
		t.Errorf("oauth_schema has %d rows, and version %d", rows, version)
	}
}

// A schema of a later version is left alone.
func TestSchemaOfLater(t *testing.T) {
	address, admin := database(t, "later")
	_, err := admin.Exec(t.Context(), "CREATE TABLE oauth_schema AS SELECT 99 AS version")
	must(t, err)
	storetest.Unavailable(t, open(t, address, Options{}), secret, 15*time.Second)
}

// Behind a pooler that assigns a connection to each transaction, no statement may be prepared.
func TestNothingPrepared(t *testing.T) {
	address := shared.URL(t) + "?default_query_exec_mode=exec"
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, address, Options{Namespace: servertest.Namespace()}) })
	s := open(t, address, Options{})
	_, err := s.Sweep(t.Context())
	must(t, err)
	var n int
	must(t, s.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_prepared_statements").Scan(&n))
	if n != 0 {
		t.Errorf("%d statements are prepared", n)
	}
}

// A database that is dropped and created again during operation gets its schema again.
func TestDatabaseMadeAnew(t *testing.T) {
	address, admin := database(t, "anew")
	s := open(t, address, Options{SweepInterval: -1})
	r := store.Record{Kind: kind, ID: "1"}
	must(t, s.Insert(t.Context(), r))
	_, err := admin.Exec(t.Context(), "DROP TABLE oauth_schema, oauth_records")
	must(t, err)
	if err := s.Insert(t.Context(), r); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the first verb: %v, want store.ErrUnavailable", err)
	}
	must(t, s.Insert(t.Context(), r))
}
