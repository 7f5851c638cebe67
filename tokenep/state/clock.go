package state

import "time"

// clockJump is how much longer than necessary a seen id and a revocation are kept. If they were
// dropped while a clock is ahead, what they forbid would be allowed again when the clock is set
// right.
const clockJump = time.Hour

// moment is a time as records have it: in UTC, in whole milliseconds.
func moment(now func() time.Time) time.Time { return now().UTC().Truncate(time.Millisecond) }

// orDefault returns d, or otherwise if d is zero.
func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
