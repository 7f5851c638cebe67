package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// migrations are the steps from an empty database to the current schema, in the order of their
// names. A released step never changes. A new step must leave a schema that processes of the
// previous version can still use.
//
//go:embed migrations/*.sql
var migrations embed.FS

const (
	// migrationLock is the number of the advisory lock, which no other program should use: the
	// bytes of "oauthrec".
	migrationLock = 0x6f61757468726563

	undefinedTable = "42P01" // SQLSTATE
)

// prepare brings the schema up to date before the first verb, and tries again before the next if
// that fails.
func (s *Store) prepare(ctx context.Context) error {
	if s.prepared.Load() {
		return nil
	}
	select {
	case s.preparing <- struct{}{}:
		defer func() { <-s.preparing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.prepared.Load() {
		return nil
	}
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	// If the schema is current, no right to change it is needed, and no lock.
	version, err := schemaVersion(ctx, s.pool)
	if err == nil && version < len(steps) {
		version, err = s.migrate(ctx, steps)
	}
	switch {
	case err != nil:
		return err
	case version > len(steps):
		return fmt.Errorf("the schema has version %d, but this program only knows versions up to %d", version, len(steps))
	}
	s.prepared.Store(true)
	return nil
}

// migrate does the missing steps in one transaction, while other processes wait.
func (s *Store) migrate(ctx context.Context, steps []string) (version int, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS oauth_schema (version int NOT NULL)"); err != nil {
			return err
		}
		if version, err = schemaVersion(ctx, tx); err != nil || version >= len(steps) {
			return err
		}
		for _, step := range steps[version:] {
			text, err := migrations.ReadFile(step)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, string(text)); err != nil {
				return fmt.Errorf("%s: %w", step, err)
			}
		}
		version = len(steps)
		if _, err := tx.Exec(ctx, "DELETE FROM oauth_schema"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO oauth_schema VALUES ($1)", version)
		return err
	})
	return version, err
}

type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// schemaVersion returns how many steps have been done: 0 in a database without the schema.
func schemaVersion(ctx context.Context, q queryer) (version int, err error) {
	err = q.QueryRow(ctx, "SELECT version FROM oauth_schema").Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) || errorCode(err) == undefinedTable {
		return 0, nil
	}
	return version, err
}
