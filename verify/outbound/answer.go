package outbound

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/verify"
)

// MaxAnswer bounds what is read of an answer, in bytes.
const MaxAnswer = 64 << 10

var (
	errTooLong   = fmt.Errorf("the answer is longer than %d bytes", MaxAnswer)
	errNotObject = errors.New("the answer is not one JSON object")
)

// Answer is what came back. Its members are read when the first one is asked for.
type Answer struct {
	*http.Response

	object map[string]any
	err    error
	read   bool
}

// Text returns the text of an answer that has status 200 and that media type. It is for answers of
// which no member is looked at.
func (a *Answer) Text(mediaType string) (string, error) {
	if a.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the answer has status %d", a.StatusCode)
	}
	if media, _, err := mime.ParseMediaType(a.Header.Get("Content-Type")); err != nil || media != mediaType {
		return "", fmt.Errorf("the answer is not %s", mediaType)
	}
	body, err := readAll(a.Body)
	return string(body), err
}

// Object returns the JSON object that the answer is. Numbers are of type json.Number.
func (a *Answer) Object() (map[string]any, error) {
	if !a.read {
		a.read = true
		a.object, a.err = readObject(a.Body)
	}
	return a.object, a.err
}

// otherStatus says which status an answer has that is not expected, and which error code (RFC 6749
// §5.2), if it has one. Nothing else that it says is shown: it may have the token in it.
func (a *Answer) otherStatus() error {
	object, _ := a.Object()
	if code, _ := object["error"].(string); code != "" && len(code) <= 40 && strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") == "" {
		return fmt.Errorf("the answer has status %d, %s", a.StatusCode, code)
	}
	return fmt.Errorf("the answer has status %d", a.StatusCode)
}

// JSON returns the JSON object of an answer that has one of these statuses.
func (a *Answer) JSON(statuses ...int) (map[string]any, error) {
	if !slices.Contains(statuses, a.StatusCode) {
		return nil, a.otherStatus()
	}
	if media, _, err := mime.ParseMediaType(a.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, errors.New("the answer is not application/json")
	}
	return a.Object()
}

// Member returns a member of the JSON; nil: there is none. Members of members have dots between
// them, and a name that has dots itself comes first.
func (a *Answer) Member(path string) (any, error) {
	object, err := a.Object()
	if err != nil {
		return nil, err
	}
	return find(object, path), nil
}

func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, MaxAnswer+1))
	if err == nil && len(body) > MaxAnswer {
		err = errTooLong
	}
	return body, err
}

// readObject reads a JSON object, and nothing behind it.
func readObject(r io.Reader) (map[string]any, error) {
	body, err := readAll(r)
	if err != nil {
		return nil, err
	}
	object, err := verify.ReadObject(string(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotObject, err)
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

// Means reports whether an answer means yes, and whether it means no, by the rules for that. The
// error says why it is neither or both.
func (a *Answer) Means(yes, no []Rule) (means bool, err error) {
	isYes, yesErr := a.Matches(yes)
	isNo, noErr := a.Matches(no)
	switch {
	case isYes && isNo:
		return false, errors.New("the answer means both yes and no")
	case !isYes && !isNo:
		return false, errors.Join(fmt.Errorf("the answer has status %d, and means neither yes nor no", a.StatusCode), yesErr, noErr)
	}
	return isYes, nil
}

// Matches reports whether an answer is one of those that the rules mean. The error says why no
// member was looked at.
func (a *Answer) Matches(rules []Rule) (bool, error) {
	var failure error
	for _, r := range rules {
		if !slices.Contains(r.Statuses, a.StatusCode) {
			continue
		}
		if r.Member == "" {
			return true, nil
		}
		value, err := a.Member(r.Member)
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
