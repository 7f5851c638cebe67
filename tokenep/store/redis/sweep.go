package redis

import (
	"context"

	"github.com/tokenep/caddy-tokenep/tokenep/store/internal/engine"
)

// sweepStep is how many entries of an index one script removes. Redis does nothing else while a
// script runs.
const sweepStep = 100

// Sweep removes from the indexes what Redis has dropped, in small steps, and returns the number of
// entries. Any number of processes may do it at once. It covers all kinds that there have ever been
// in the database, even if this process does not use them.
func (s *Store) Sweep(ctx context.Context) (total int, err error) {
	// A database that was emptied has lost its kinds, and know would not add them again.
	s.known.Range(func(kind, _ any) bool {
		err = s.tell(ctx, kind.(string))
		return err == nil
	})
	if err != nil {
		return 0, err
	}
	kinds, err := engine.Do(ctx, s.line, func(ctx context.Context) ([]string, error) {
		return s.client.SMembers(ctx, s.kinds()).Result()
	})
	if err != nil {
		return 0, err
	}
	for _, kind := range kinds {
		for n := range uint32(shards) {
			removed, failed := s.sweepShard(ctx, s.shard(kind, n))
			total += removed
			if err == nil {
				err = failed // go on: the other shards may be on a node that answers
			}
		}
	}
	return total, err
}

func (s *Store) sweepShard(ctx context.Context, at shard) (total int, err error) {
	for {
		n, err := engine.Do(ctx, s.line, func(ctx context.Context) (int, error) {
			return s.run(ctx, sweep, []string{at.ids(), at.expiry()}, sweepStep)
		})
		total += n
		if err != nil || n < sweepStep {
			return total, err
		}
	}
}

// know adds the kind of a record that is about to be inserted to those that are swept. A process
// does so once for each kind, and again in each sweep.
func (s *Store) know(ctx context.Context, kind string) error {
	if _, known := s.known.Load(kind); known {
		return nil
	}
	err := s.tell(ctx, kind)
	if err == nil {
		s.known.Store(kind, nil)
	}
	return err
}

func (s *Store) tell(ctx context.Context, kind string) error {
	_, err := engine.Do(ctx, s.line, func(ctx context.Context) (int64, error) {
		return s.client.SAdd(ctx, s.kinds(), kind).Result()
	})
	return err
}
