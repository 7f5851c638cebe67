package postgres

import (
	"context"
	"time"
)

// sweepBatch is how many rows one statement deletes: few enough that it is done,
// and its locks are gone, within milliseconds.
const sweepBatch = 200

// A minute late, as the clock of the database may be ahead of the callers'.
// What another server's sweep is deleting, or a Swap is changing, is skipped.
const sweepSQL = `
WITH gone AS MATERIALIZED (
	SELECT namespace, kind, id FROM oauth_records
	WHERE expires_at < now() - interval '1 minute'
	ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
DELETE FROM oauth_records AS r USING gone
WHERE r.namespace = gone.namespace AND r.kind = gone.kind AND r.id = gone.id`

// Sweep deletes the records of all namespaces that expired more than a minute
// ago, in small batches, and returns how many.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	total := 0
	for {
		removed := 0
		err := s.do(ctx, func(ctx context.Context) error {
			tag, err := s.pool.Exec(ctx, sweepSQL, sweepBatch)
			removed = int(tag.RowsAffected())
			return err
		})
		total += removed
		if err != nil || removed == 0 {
			return total, err
		}
	}
}

// sweepEach sweeps at an interval, until Close.
func (s *Store) sweepEach(ctx context.Context, interval time.Duration) {
	if interval == 0 {
		interval = time.Minute
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		switch n, err := s.Sweep(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.logger.Error("store: deleting expired records failed", "error", err)
		case n > 0:
			s.logger.Debug("store: expired records deleted", "records", n)
		}
	}
}
