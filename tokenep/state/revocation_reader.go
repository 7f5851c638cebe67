package state

import (
	"context"
	"log/slog"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// RevocationReader follows the log of revocations of a server in another process, and writes
// nothing: for whoever verifies its tokens, and may read its store. An entry beyond the head, which
// it does not move, is in force here, and read again each time until the head has passed it.
type RevocationReader struct{ log *Revocations }

// NewRevocationReader returns a reader of the log of s, whose entries it puts into set.
func NewRevocationReader(s store.Store, set *verify.Revocations, now func() time.Time, logger *slog.Logger) *RevocationReader {
	log := NewRevocations(s, set, now, logger)
	log.readOnly = true
	return &RevocationReader{log}
}

// Start puts the whole log into the set and then follows it until ctx is done, every
// DefaultInterval. It returns when the set is complete; after an error it follows nothing.
func (r *RevocationReader) Start(ctx context.Context) error { return r.log.Start(ctx) }

// Follow takes whatever is new in the log into the set.
func (r *RevocationReader) Follow(ctx context.Context) error { return r.log.Follow(ctx) }
