package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Sweep calls sweep, which deletes expired records and returns their number, at an interval until
// ctx is done. An interval of 0 means each minute, and less than 0 never.
func Sweep(ctx context.Context, interval time.Duration, logger *slog.Logger, sweep func(context.Context) (int, error)) {
	if interval < 0 {
		return
	}
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
		n := 0
		err := verify.Contain(func() (err error) {
			n, err = sweep(ctx)
			return err
		})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			logger.Error("store: deleting expired records failed", "error", err)
		case n > 0:
			logger.Debug("store: expired records deleted", "records", n)
		}
	}
}
