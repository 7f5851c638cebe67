package postgres

import "context"

// sweepBatch is how many rows one statement deletes: few enough that it ends, and its locks with
// it, within milliseconds.
const sweepBatch = 200

// Rows that another process is sweeping, or a Swap is changing, are skipped.
const sweepSQL = `
WITH gone AS MATERIALIZED (
	SELECT namespace, kind, id FROM oauth_records
	WHERE expires_at < now() - $2::interval
	ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
DELETE FROM oauth_records AS r USING gone
WHERE r.namespace = gone.namespace AND r.kind = gone.kind AND r.id = gone.id`

// Sweep deletes the records of all namespaces that expired more than a minute ago, in small
// batches, and returns how many.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	total := 0
	for {
		removed, err := do(ctx, s, func(ctx context.Context) (int, error) {
			tag, err := s.pool.Exec(ctx, sweepSQL, sweepBatch, s.slack)
			return int(tag.RowsAffected()), err
		})
		total += removed
		if err != nil || removed == 0 {
			return total, err
		}
	}
}
