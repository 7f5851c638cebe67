package tokenep

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that is written as people write it: "30s", "4h", "730d". In JSON it
// may also be a number of nanoseconds, as durations in Caddy's configurations are.
type Duration time.Duration

const day = 24 * time.Hour

// ParseDuration reads a duration as time.ParseDuration does, with d for 24 hours beside its units.
// It must not be negative.
func ParseDuration(text string) (Duration, error) {
	days, rest, err := cutDays(text)
	if err == nil && (rest != "" || text == "") {
		var d time.Duration
		if d, err = time.ParseDuration(rest); d < 0 || d > math.MaxInt64-days {
			err = errDuration
		}
		days += d
	}
	if err != nil {
		return 0, fmt.Errorf("%q must be a duration such as 30s, 4h or 730d", text)
	}
	return Duration(days), nil
}

var errDuration = errors.New("out of range")

// cutDays reads the days at the beginning of a duration, which may be a fraction, and returns what
// follows them.
func cutDays(text string) (days time.Duration, rest string, err error) {
	number, after, found := strings.Cut(text, "d")
	if !found {
		return 0, text, nil
	}
	if strings.Trim(number, "0123456789.") != "" {
		return 0, "", errDuration
	}
	if n, err := strconv.ParseUint(number, 10, 64); err == nil && n <= uint64(math.MaxInt64/day) {
		return time.Duration(n) * day, after, nil
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n >= float64(math.MaxInt64/day) {
		return 0, "", errDuration
	}
	return time.Duration(n * float64(day)), after, nil
}

// String returns the duration in the largest unit of which it is a whole number.
func (d Duration) String() string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := time.Duration(d); n != 0 && n%unit.length == 0 {
			return strconv.FormatInt(int64(n/unit.length), 10) + unit.name
		}
	}
	return time.Duration(d).String()
}

// MarshalJSON writes the text of String.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads what ParseDuration reads, or a number of nanoseconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var number int64
	if err := json.Unmarshal(data, &number); err == nil {
		*d = Duration(number)
		return nil
	}
	var text string
	err := json.Unmarshal(data, &text)
	if err == nil {
		*d, err = ParseDuration(text)
	}
	return err
}
