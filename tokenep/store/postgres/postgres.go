package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/internal/engine"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Options are the settings of a Store; the zero value is usable.
type Options struct {
	// Namespace separates the records of one authorization server from those of others in the same
	// table; "" means "default". It has at most 64 bytes of UTF-8.
	Namespace string

	// Timeout bounds each verb, including all waits; 0 means 3 seconds.
	Timeout time.Duration

	// Logger gets failed sweeps. nil means slog.Default().
	Logger *slog.Logger

	// SweepInterval is how often expired records are deleted: 0 means each minute, and less than 0
	// means only when Sweep is called.
	SweepInterval time.Duration

	// slack is how long after Expires a record is deleted: a minute, because the clock of
	// PostgreSQL may be ahead of the callers'.
	slack time.Duration
}

// A Store is a store.Store in PostgreSQL. Make one with Open.
type Store struct {
	pool      *pgxpool.Pool
	namespace string
	line      *engine.Line
	slack     time.Duration

	prepared  atomic.Bool
	preparing chan struct{} // has one value while a verb checks the schema
	renewed   atomic.Bool   // connections were renewed less than a second ago

	stop    context.CancelFunc // ends the sweeps
	running sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// errDSN shows no part of the connection string: if that is malformed, a part of the password may
// be anywhere.
var errDSN = errors.New("postgres: malformed connection string: expected postgres://user:password@host:port/database?sslmode=verify-full, " +
	"with other characters than letters and digits in the password percent-encoded, or host=… user=… password='…' dbname=…")

// Open returns the store at a connection string of libpq. It makes no connection, which the first
// verb does: while PostgreSQL is unavailable the verbs, and not Open, return store.ErrUnavailable.
// Open fails if the string or the options are wrong. No error shows the string.
//
// pool_max_conns in the string limits the number of connections: 16 by default.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	o.Namespace = cmp.Or(o.Namespace, "default")
	if len(o.Namespace) > 64 || strings.Contains(o.Namespace, "\x00") || strings.ToValidUTF8(o.Namespace, "") != o.Namespace {
		return nil, fmt.Errorf("postgres: namespace must be UTF-8 of at most 64 bytes, got %q", o.Namespace)
	}
	config, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Timeout = cmp.Or(o.Timeout, 3*time.Second)
	config.ConnConfig.ConnectTimeout = cmp.Or(config.ConnConfig.ConnectTimeout, o.Timeout)
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		stop()
		return nil, errDSN
	}
	s := &Store{
		pool: pool, namespace: o.Namespace, slack: cmp.Or(o.slack, time.Minute),
		line:      &engine.Line{Name: "postgres", Timeout: o.Timeout, Answer: answer},
		preparing: make(chan struct{}, 1), stop: stop,
	}
	s.running.Go(func() { engine.Sweep(ctx, o.SweepInterval, o.Logger, s.Sweep) })
	return s, nil
}

// Check returns an error if Open would refuse the connection string. It makes no connection.
func Check(dsn string) error {
	_, err := parse(dsn)
	return err
}

func parse(dsn string) (*pgxpool.Config, error) {
	if strings.TrimSpace(dsn) == "" {
		return nil, errDSN
	}
	config, err := pgxpool.ParseConfig(dsn)
	var file *fs.PathError // of a certificate
	switch {
	case errors.As(err, &file):
		return nil, fmt.Errorf("postgres: the connection string names a file: %w", file)
	case err != nil:
		return nil, errDSN
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		config.MaxConns = 16
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "oauth_server"
	}
	return config, nil
}

// Close waits for the verbs that have begun, and ends the connections. It waits no longer than the
// time-out of a verb, because pgx may take long to close a connection to a server that does not
// answer. Every later verb returns store.ErrUnavailable.
func (s *Store) Close() error {
	s.stop()
	s.running.Wait()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = verify.Contain(func() error {
			s.pool.Close()
			return nil
		})
	}()
	select {
	case <-closed:
	case <-time.After(s.line.Timeout):
	}
	return nil
}

// do runs a verb on a current schema, within the time-out, and turns its error into one of the
// contract.
func do[T any](ctx context.Context, s *Store, verb func(context.Context) (T, error)) (T, error) {
	return engine.Do(ctx, s.line, func(ctx context.Context) (none T, _ error) {
		value, err := none, s.prepare(ctx)
		if err == nil {
			value, err = verb(ctx)
		}
		switch errorCode(err) {
		case undefinedTable: // the database was created anew: prepare it again
			s.prepared.Store(false)
		case readOnlyTransaction:
			s.connectAnew()
		}
		return value, err
	})
}

const readOnlyTransaction = "25006" // SQLSTATE

// connectAnew makes the next verbs open new connections. A server that was the primary and is a
// standby now may keep its connections, while the host name or target_session_attrs lead a new
// connection to the server that accepts writes. It acts at most once a second: if there is no such
// server, a new connection for each verb would slow down reads.
func (s *Store) connectAnew() {
	if s.renewed.CompareAndSwap(false, true) {
		s.pool.Reset()
		time.AfterFunc(time.Second, func() { s.renewed.Store(false) })
	}
}

// errorCode returns the SQLSTATE of an error that PostgreSQL has sent, and "" for others.
func errorCode(err error) string {
	if sent, ok := errors.AsType[*pgconn.PgError](err); ok {
		return sent.Code
	}
	return ""
}

// answer reports whether PostgreSQL has sent an error.
func answer(err error) bool {
	var sent *pgconn.PgError
	return errors.As(err, &sent)
}
