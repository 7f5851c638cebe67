package httpcheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

var (
	errTooLong   = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	errNotObject = errors.New("the answer is not a JSON object")
)

// answer is what came back. Its members are read when the first one is asked for.
type answer struct {
	*http.Response
	object map[string]any
	err    error
	read   bool
}

// member returns a member of the JSON; nil: there is none. Members of members have dots between
// them, and a name that has dots itself comes first.
func (a *answer) member(path string) (any, error) {
	if !a.read {
		a.read = true
		a.object, a.err = readObject(a.Body)
	}
	if a.err != nil {
		return nil, a.err
	}
	return find(a.object, path), nil
}

// readObject reads a JSON object, and nothing behind it.
func readObject(r io.Reader) (object map[string]any, err error) {
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxAnswer:
		return nil, errTooLong
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, errNotObject
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotObject
	}
	return object, nil
}

func find(object map[string]any, path string) any {
	if value, there := object[path]; there {
		return value
	}
	for i, r := range path {
		if r != '.' {
			continue
		}
		if inner, ok := object[path[:i]].(map[string]any); ok {
			if value := find(inner, path[i+1:]); value != nil {
				return value
			}
		}
	}
	return nil
}

// matches reports whether an answer is one of those that the rules mean. The error says why no
// member was looked at.
func (a *answer) matches(rules []Rule) (bool, error) {
	var failure error
	for _, r := range rules {
		if !slices.Contains(r.Statuses, a.StatusCode) {
			continue
		}
		if r.Member == "" {
			return true, nil
		}
		value, err := a.member(r.Member)
		if err == nil && value != nil && text(value) == r.Value {
			return true, nil
		}
		failure = err
	}
	return false, failure
}

// text is how a value is written in a configuration.
func text(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case bool, json.Number:
		return fmt.Sprint(value)
	}
	return "\x00" // a list or an object: no value that anybody can write
}

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
