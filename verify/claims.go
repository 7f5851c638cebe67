package verify

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Reasons to refuse a payload (RFC 7519 §4.1, RFC 9068 §2.2).
var (
	errIssuer      = errors.New("iss is not a string")
	errSubject     = errors.New("sub is not a string of 1 to 1024 bytes without control characters")
	errClient      = errors.New("client_id is not a string of 1 to 1024 bytes without control characters")
	errID          = errors.New("jti is not a string of 1 to 1024 bytes without control characters")
	errAudience    = errors.New("aud is not a string or a list of at most 64 strings")
	errDate        = errors.New("exp, nbf or iat is not a NumericDate")
	errExpires     = errors.New("exp is missing")
	errConfirmed   = errors.New("cnf is null")
	errScopeString = errors.New("scope is not a string")
)

const (
	maxName     = 1024         // bytes, of sub, client_id and jti
	maxAudience = 64           // elements
	maxDate     = 253402300799 // seconds since 1970: the end of the year 9999
)

// parseClaims reads a payload into t. It checks the form of every claim that this package knows,
// and notes deviations from RFC 9068; checks.go judges what they say.
func parseClaims(text string, t *Token) error {
	claims, err := parseObject(text)
	if err != nil {
		return err
	}
	if err := readClaims(claims, t); err != nil {
		return err
	}
	if t.Expires.IsZero() {
		return errExpires
	}
	return nil
}

// readClaims reads claims into t, without asking for exp.
func readClaims(claims map[string]any, t *Token) (err error) {
	t.Claims = claims
	if iss, present := claims["iss"]; present { // absent, it is that of no issuer
		var ok bool
		if t.Issuer, ok = iss.(string); !ok {
			return errIssuer
		}
	}
	if _, present := claims["sub"]; !present {
		t.deviations.note(missingSubject, errSubject)
	}
	for _, claim := range [...]struct {
		name string
		into *string
		kind leniency
		err  error
	}{
		{"sub", &t.Subject, missingSubject, errSubject},
		{"client_id", &t.ClientID, oddClaims, errClient}, {"jti", &t.ID, oddClaims, errID},
	} {
		value, present := claims[claim.name]
		if !present {
			continue
		}
		if *claim.into, _ = value.(string); *claim.into == "" {
			t.deviations.note(claim.kind, claim.err)
		} else if !isName(*claim.into) {
			return claim.err
		}
	}
	if value, present := claims["aud"]; present {
		if t.Audience, err = parseAudience(value); err != nil {
			t.deviations.note(oddClaims, err)
		}
	}
	if cnf, present := claims["cnf"]; present && cnf == nil {
		t.deviations.note(oddClaims, errConfirmed)
	}
	if err := parseDates(claims, t); err != nil {
		return err
	}
	parseScopes(claims, t)
	parseLineage(claims, t)
	return parseLimits(claims, t)
}

// parseScopes reads scope, and scp in its place for those who are permitted a loose scope.
func parseScopes(claims map[string]any, t *Token) {
	value, present := claims["scope"]
	if text, ok := value.(string); ok {
		var err error
		if t.Scope, err = ParseScope(text); err == nil {
			return
		}
		t.deviations.note(looseScope, err)
	} else if present {
		t.deviations.note(looseScope, errScopeString)
	}
	if value != nil {
		t.Scope = readLoosely(value)
	} else if scp := readLoosely(claims["scp"]); len(scp) > 0 {
		loose := *t
		loose.Scope = scp
		t.loose = &loose
	}
}

// isName reports whether s has 1 to maxName bytes and no control characters. Claims that are logged
// and sent in headers must not be longer, nor break a line.
func isName(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// parseAudience reads aud, which is one string or a list (RFC 7519 §4.1.3).
func parseAudience(value any) ([]string, error) {
	switch value := value.(type) {
	case string:
		return []string{value}, nil
	case []any:
		if len(value) > maxAudience {
			return nil, errAudience
		}
		audience := make([]string, len(value))
		for i, element := range value {
			name, ok := element.(string)
			if !ok {
				return nil, errAudience
			}
			audience[i] = name
		}
		return audience, nil
	}
	return nil, errAudience
}

func parseDates(claims map[string]any, t *Token) error {
	for _, claim := range [...]struct {
		name string
		date *time.Time
	}{{"exp", &t.Expires}, {"nbf", &t.NotBefore}, {"iat", &t.IssuedAt}} {
		value, present := claims[claim.name]
		if !present {
			continue
		}
		number, ok := value.(json.Number)
		if !ok && (claim.date == &t.IssuedAt || claim.date == &t.NotBefore && value == nil) {
			t.deviations.note(oddClaims, errDate)
			continue
		}
		if !ok {
			return errDate
		}
		seconds, err := numericDate(string(number))
		if err != nil && claim.date == &t.IssuedAt { // in milliseconds, from some issuers
			t.deviations.note(oddClaims, err)
			continue
		}
		if err != nil {
			return err
		}
		*claim.date = time.Unix(seconds, 0)
	}
	return nil
}

// numericDate returns the whole seconds of a NumericDate (RFC 7519 §2), rounded down. A number
// without exponent is read digit by digit, since a float would round 1700000000.99999999 up. Dates
// after the year 9999 are refused.
func numericDate(number string) (int64, error) {
	var seconds int64
	if strings.ContainsAny(number, "eE") {
		float, err := strconv.ParseFloat(number, 64)
		if err != nil || math.Abs(float) > maxDate {
			return 0, errDate
		}
		seconds = int64(math.Floor(float))
	} else {
		whole, fraction, _ := strings.Cut(number, ".")
		var err error
		if seconds, err = strconv.ParseInt(whole, 10, 64); err != nil {
			return 0, errDate
		}
		if number[0] == '-' && strings.Trim(fraction, "0") != "" {
			seconds--
		}
	}
	if seconds > maxDate || seconds < -maxDate {
		return 0, errDate
	}
	return seconds, nil
}
