package tokenep_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// A duration is written in the largest unit of which it is a whole number, and read back as it was.
func TestDuration(t *testing.T) {
	for _, row := range []struct {
		text    string
		want    time.Duration
		written string
	}{
		{"30s", 30 * time.Second, "30s"},
		{"90s", 90 * time.Second, "90s"},
		{"60s", time.Minute, "1m"},
		{"4h", 4 * time.Hour, "4h"},
		{"24h", 24 * time.Hour, "1d"},
		{"730d", 730 * 24 * time.Hour, "730d"},
		{"1d12h", 36 * time.Hour, "36h"},
		{"1.5d", 36 * time.Hour, "36h"},
		{"1.5h", 90 * time.Minute, "90m"},
		{"100ms", 100 * time.Millisecond, "100ms"},
		{"0s", 0, "0s"},
		{"0d", 0, "0s"},
		{"2400000h", 100_000 * 24 * time.Hour, "100000d"},
		{"106751d", 106_751 * 24 * time.Hour, "106751d"},
	} {
		d, err := tokenep.ParseDuration(row.text)
		if err != nil || time.Duration(d) != row.want || d.String() != row.written {
			t.Errorf("%s: %s, %v; want %s", row.text, d, err, row.written)
		}
	}
	for _, text := range []string{
		"", "d", "30", "-4h", "-1d", "+1d", "1e1d", "Infd", "1d-1h", "1d1d", "1h1d", " 1d", "1D", "4 h", "106752d", "65535d2562047h", "18446744073709551616d",
	} {
		if d, err := tokenep.ParseDuration(text); err == nil {
			t.Errorf("%q is read as %s", text, d)
		}
	}
}

// In JSON a duration is text, and may be a number of nanoseconds as in Caddy's configurations.
func TestDurationJSON(t *testing.T) {
	for text, want := range map[string]time.Duration{`"36h"`: 36 * time.Hour, `"1d12h"`: 36 * time.Hour, `1000000000`: time.Second, `0`: 0} {
		var d tokenep.Duration
		if err := json.Unmarshal([]byte(text), &d); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %s, %v; want %s", text, d, err, want)
		}
		written, err := json.Marshal(d)
		var again tokenep.Duration
		if err == nil {
			err = json.Unmarshal(written, &again)
		}
		if err != nil || again != d || written[0] != '"' {
			t.Errorf("%s: it is written %s and read as %s, %v", text, written, again, err)
		}
	}
	for _, text := range []string{`"x"`, `""`, `1.5`, `true`, `{}`, `["1h"]`} {
		var d tokenep.Duration
		if err := json.Unmarshal([]byte(text), &d); err == nil {
			t.Errorf("%s is read as %s", text, d)
		}
	}
}

// Whatever is read as a duration is not negative, and what is written of it is read as the same.
func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"30s", "4h", "730d", "1d12h", "1.5h", "100ms", "0s", "", "d", "-1s", "2400000h", "65535d2562047h", "1h0m0.5s", "1d+5s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := tokenep.ParseDuration(text)
		if err != nil {
			return
		}
		if d < 0 {
			t.Errorf("%q is read as %d", text, int64(d))
		}
		if again, err := tokenep.ParseDuration(d.String()); err != nil || again != d {
			t.Errorf("%q is written %q, and that is read as %q, %v", text, d, again, err)
		}
	})
}
