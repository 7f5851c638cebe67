package keys

import (
	"slices"
	"time"
)

// State is where a key is in its life.
type State string

// The states of a key. The ring's own keys go through the first three in this order; given keys are
// Active or Standby.
const (
	Next    State = "next"    // published, has signed nothing
	Active  State = "active"  // signs; there is exactly one
	Retired State = "retired" // published until all tokens that it signed have expired
	Standby State = "standby" // published for as long as the configuration gives it, signs nothing
)

// entry is a key and its history. Times are UTC, in whole seconds.
type entry struct {
	key       *Key
	created   time.Time     // and published
	activated time.Time     // zero: it is next
	retired   time.Time     // zero: it is not retired yet
	retain    time.Duration // how long it stays published after it retires
	given     State         // of a given key, which has no times; "" for the ring's own
}

func (e entry) state() State {
	switch {
	case e.given != "":
		return e.given
	case !e.retired.IsZero():
		return Retired
	case !e.activated.IsZero():
		return Active
	default:
		return Next
	}
}

// gone returns when a retired key leaves the ring.
func (e entry) gone() time.Time { return e.retired.Add(e.retain) }

// find returns the index of the first key in that state, or -1.
func find(keys []entry, s State) int {
	return slices.IndexFunc(keys, func(e entry) bool { return e.state() == s })
}
