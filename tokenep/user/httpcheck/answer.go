package httpcheck

import (
	"encoding/json"
	"errors"
	"strings"
)

// claim returns a member as a claim can have it: numbers are numbers.
func claim(value any) any {
	number, ok := value.(json.Number)
	if !ok {
		return value
	}
	if whole, err := number.Int64(); err == nil {
		return whole
	}
	if float, err := number.Float64(); err == nil {
		return float
	}
	return nil
}

// subject returns a member as a subject: a text, or a whole number.
func subject(value any) (string, error) {
	switch value := value.(type) {
	case string:
		if value != "" {
			return value, nil
		}
	case json.Number:
		if _, err := value.Int64(); err == nil && !strings.ContainsAny(value.String(), "-") {
			return value.String(), nil
		}
	}
	return "", errors.New("the member for the subject is missing, or is neither a text nor a whole number")
}
