package verify

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is how often something may be done: N times in the time Per, which is in whole seconds. Its
// text is "100/1m", with one of the units s, m, h and d; "100/m" is the same. The zero value bounds
// nothing.
type Rate struct {
	N   int
	Per time.Duration
}

// maxRate bounds N, so that no arithmetic with it overflows.
const maxRate = 1_000_000_000

var errRate = errors.New("a rate is a number of 1 to 1000000000, a slash, and a time in seconds, minutes, hours or days, such as 100/1m")

// rateUnits are the units of the text, the largest first.
var rateUnits = []struct {
	name string
	unit time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// ParseRate reads the text of a rate.
func ParseRate(text string) (r Rate, err error) { return r, r.UnmarshalText([]byte(text)) }

// IsZero reports whether the rate bounds nothing.
func (r Rate) IsZero() bool { return r == Rate{} }

// Validate returns what is wrong with a rate that is not zero.
func (r Rate) Validate() error {
	if r.N < 1 || r.N > maxRate || r.Per < time.Second || r.Per > 366*24*time.Hour || r.Per%time.Second != 0 {
		return errRate
	}
	return nil
}

// String returns the text; "" for the zero value.
func (r Rate) String() string {
	if r.IsZero() {
		return ""
	}
	for _, u := range rateUnits {
		if r.Per%u.unit == 0 {
			return fmt.Sprintf("%d/%d%s", r.N, r.Per/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%d/%s", r.N, r.Per)
}

// MarshalText returns the text.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the text. An empty one is the zero value.
func (r *Rate) UnmarshalText(text []byte) error {
	*r = Rate{}
	if len(text) == 0 {
		return nil
	}
	count, period, _ := strings.Cut(string(text), "/")
	n, err := strconv.ParseUint(count, 10, 31)
	if err != nil || period == "" {
		return errRate
	}
	for _, u := range rateUnits {
		number, ok := strings.CutSuffix(period, u.name)
		if !ok {
			continue
		}
		many := uint64(1)
		if number != "" {
			if many, err = strconv.ParseUint(number, 10, 31); err != nil || many > uint64(366*24*time.Hour/u.unit) {
				return errRate
			}
		}
		read := Rate{int(n), time.Duration(many) * u.unit}
		if err := read.Validate(); err != nil {
			return err
		}
		*r = read
		return nil
	}
	return errRate
}
