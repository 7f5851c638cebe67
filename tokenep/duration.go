package tokenep

import (
	"encoding/json"
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
func ParseDuration(text string) (Duration, error) {
	var days time.Duration
	rest := text
	if number, after, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil || n > uint64(math.MaxInt64/day) {
			return 0, fmt.Errorf("%q must be a duration such as 30s, 4h or 730d", text)
		}
		days, rest = time.Duration(n)*day, after
	}
	if rest == "" && text != "" {
		return Duration(days), nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > math.MaxInt64-days {
		return 0, fmt.Errorf("%q must be a duration such as 30s, 4h or 730d", text)
	}
	return Duration(days + d), nil
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
