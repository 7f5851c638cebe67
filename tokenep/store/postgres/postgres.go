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
)

// Options are the settings of a Store; the zero value is usable.
type Options struct {
	// Namespace keeps the records of one server from those of others in the
	// same table; "" means "default". It is 64 bytes of text at most.
	Namespace string

	// Timeout bounds each verb, with all that it waits for; 0 means 3 seconds.
	Timeout time.Duration

	// Logger is told of a sweep that failed. nil means slog.Default().
	Logger *slog.Logger

	// SweepInterval is how often expired records are deleted: 0 means each
	// minute, and less than 0 only when Sweep is called.
	SweepInterval time.Duration

	// slack is how long after its time a record is deleted, a minute: PostgreSQL
	// goes by its own clock, which may be ahead of the callers'.
	slack time.Duration
}

// A Store is a store.Store in PostgreSQL. Make one with Open.
type Store struct {
	pool      *pgxpool.Pool
	namespace string
	line      *engine.Line
	slack     time.Duration

	prepared  atomic.Bool
	preparing chan struct{} // holds one value while the schema is looked at
	renewed   atomic.Bool   // the connections were, less than a second ago

	stop    context.CancelFunc // ends the sweeps
	running sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// errDSN does not show the connection string, nor any part of it: what is
// malformed may have a piece of the password anywhere.
var errDSN = errors.New("postgres: malformed connection string: want postgres://user:password@host:port/database?sslmode=verify-full, " +
	"with other characters than letters and digits in the password percent-encoded, or host=… user=… password='…' dbname=…")

// Open returns the store at a connection string as libpq has it, and makes no
// connection before the first verb needs one: while PostgreSQL is away the
// verbs, and not Open, return store.ErrUnavailable. It fails if the string or the
// options are wrong. No error shows the string.
//
// pool_max_conns in the string is how many connections there are at most, by
// default 16.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	o.Namespace = cmp.Or(o.Namespace, "default")
	if len(o.Namespace) > 64 || strings.Contains(o.Namespace, "\x00") || strings.ToValidUTF8(o.Namespace, "") != o.Namespace {
		return nil, fmt.Errorf("postgres: namespace %q is no text of at most 64 bytes", o.Namespace)
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

// Close waits for the verbs that are being served, and ends the connections, but
// no longer than the time-out of a verb: pgx takes its time to tell a server that
// does not answer. Every later verb returns store.ErrUnavailable.
func (s *Store) Close() error {
	s.stop()
	s.running.Wait()
	closed := make(chan struct{})
	go func() {
		s.pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(s.line.Timeout):
	}
	return nil
}

// do runs a verb on a schema that is up to date, within the time-out, and makes
// its error one of the contract.
func do[T any](ctx context.Context, s *Store, verb func(context.Context) (T, error)) (T, error) {
	return engine.Do(ctx, s.line, func(ctx context.Context) (none T, _ error) {
		value, err := none, s.prepare(ctx)
		if err == nil {
			value, err = verb(ctx)
		}
		switch errorCode(err) {
		case undefinedTable: // the database was made anew: so is the schema, before the next verb
			s.prepared.Store(false)
		case readOnlyTransaction:
			s.connectAnew()
		}
		return value, err
	})
}

const readOnlyTransaction = "25006" // SQLSTATE

// connectAnew has the next verbs make new connections. A server that was the primary, and is a standby now, can keep those that it
// has; another takes the writes, to which the host name or target_session_attrs lead who connects now. It
// does so once a second at most: where there is no other, a connection for each verb would be a burden to those that read.
func (s *Store) connectAnew() {
	if s.renewed.CompareAndSwap(false, true) {
		s.pool.Reset()
		time.AfterFunc(time.Second, func() { s.renewed.Store(false) })
	}
}

// errorCode is the SQLSTATE of an error that PostgreSQL has sent, and "" of others.
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
