package state

// What the tests outside of the package measure themselves against.
const (
	MaxEntries     = maxEntries
	FollowInterval = followInterval
	MinEntryLife   = minEntryLife
)

// FormatAPIToken lets tests write tokens that no server ever made.
var FormatAPIToken = formatAPIToken
