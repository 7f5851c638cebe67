package tokenep

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

var errJSON = errors.New("not an object")

// parseJSON parses a JSON object, whose members are what the parameters of a form are (RFC 6749
// §3.2): no name occurs twice, and null is a parameter without a value, which is not there. A
// member that is no string has no values: it is refused where that parameter is known (see
// Form.once), and else ignored, like every unknown one.
func parseJSON(body []byte) (map[string][]string, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // of any size
	form, err := readObject(d)
	if err != nil {
		return nil, InvalidRequest.Describe("the body is not a JSON object with each member once").Because(err)
	}
	return form, nil
}

// readObject reads one member after the other: encoding/json would keep the last of repeated ones.
func readObject(d *json.Decoder) (map[string][]string, error) {
	if t, err := d.Token(); err != nil {
		return nil, fmt.Errorf("%w: %w", errJSON, err)
	} else if t != json.Delim('{') {
		return nil, errJSON
	}
	form := map[string][]string{}
	for d.More() {
		name, err := readString(d)
		if err != nil {
			return nil, err
		}
		if _, twice := form[name]; twice {
			return nil, errJSON
		}
		if form[name], err = readMember(d); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err == nil {
		return nil, errJSON
	} else if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %w", errJSON, err)
	}
	return form, nil
}

// readMember reads the value of a member: one string, "" for null, or none for anything else.
func readMember(d *json.Decoder) ([]string, error) {
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, fmt.Errorf("%w: %w", errJSON, err)
	}
	switch value := value.(type) {
	case nil:
		return []string{""}, nil
	case string:
		text, err := checkString(value)
		return []string{text}, err
	}
	return nil, nil
}

// readString reads one string.
func readString(d *json.Decoder) (string, error) {
	t, err := d.Token()
	if err != nil {
		return "", err
	}
	return checkString(t)
}

// checkString requires a string. The decoder puts U+FFFD where bytes are not UTF-8 or an escape
// names half a character, so U+FFFD is refused, like NUL.
func checkString(value any) (string, error) {
	s, ok := value.(string)
	if !ok || strings.ContainsAny(s, "\x00\uFFFD") {
		return "", errJSON
	}
	return s, nil
}
