package state

import "time"

// clockJump is how much longer than necessary an id that was seen is kept, and a revocation: were
// it dropped while a clock is ahead, then what it belongs to would be good once more when the clock
// is set right.
const clockJump = time.Hour

// moment is a time as records have it: in UTC, in whole milliseconds.
func moment(now func() time.Time) time.Time { return now().UTC().Truncate(time.Millisecond) }

// orDefault is d, or otherwise if d is zero.
func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
