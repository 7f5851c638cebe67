package tokenep

import (
	"errors"
	"fmt"
	"time"
)

// RateLimit says how often authentication may fail: that of clients, and of people by name and
// password (see Limiter.SignIn). The zero value is 20 failures in 200 seconds.
type RateLimit struct {
	// Failures are neither counted nor limited. Default: they are.
	Off bool `json:"off,omitempty"`

	// How many failures of one client, or for the name of one person, at one address (a /64 for
	// IPv6) are tolerated, 1 to 10000. An address as a whole has five times as many. From half of
	// them on, answers come later; above all of them they are 429. Default: 20.
	Failures int `json:"failures,omitempty"`

	// The time in which as many failures are forgotten, 1s or more. Default: 200s.
	Per Duration `json:"per,omitempty"`
}

const (
	defaultFailures = 20
	defaultPer      = 200 * time.Second
	maxFailures     = 10_000
)

// Validate returns what is wrong with a limit that is set.
func (r RateLimit) Validate() error {
	switch {
	case r.Off && (r.Failures != 0 || r.Per != 0):
		return errors.New("off and a number of failures exclude each other")
	case r == RateLimit{} || r.Off:
		return nil
	case r.Failures < 1 || r.Failures > maxFailures:
		return fmt.Errorf("the number of failures must be 1 to %d; it is %d", maxFailures, r.Failures)
	case time.Duration(r.Per) < time.Second:
		return fmt.Errorf("the time must be 1s or more; it is %s", time.Duration(r.Per))
	}
	return nil
}

// bounds returns the bound of one client at an address, and that of the address.
func (r RateLimit) bounds() (client, address bound) {
	most, per := float64(r.Failures), time.Duration(r.Per)
	if r.Failures == 0 {
		most, per = defaultFailures, defaultPer
	}
	forget := float64(per) / most
	return bound{most, time.Duration(forget)}, bound{most * wholeAddress, max(1, time.Duration(forget/wholeAddress))}
}
