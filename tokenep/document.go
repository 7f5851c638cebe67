package tokenep

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Document is a JSON object that a client sends, by the names of its members, which are compared
// exactly. A member that is null is not there.
type Document map[string]json.RawMessage

// ReadDocument reads the body of r, which must be application/json. If it is no JSON object, or
// has a member twice, the error has the code malformed.
func ReadDocument(r *http.Request, malformed Code) (Document, error) {
	mediaType := ""
	if lines := r.Header.Values("Content-Type"); len(lines) == 1 {
		mediaType, _, _ = mime.ParseMediaType(lines[0])
	}
	if mediaType != "application/json" {
		return nil, InvalidRequest.Describe("the Content-Type must be application/json")
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	d, err := parseDocument(body)
	if err != nil {
		return nil, malformed.Describe("the body is not a JSON object, each member once").Because(err)
	}
	return d, nil
}

var errDocument = errors.New("not a JSON object, each member once")

// parseDocument reads a JSON object. encoding/json would keep the last of repeated members, and
// ignore the case of their names, so the names are read one by one.
func parseDocument(body []byte) (Document, error) {
	if !utf8.Valid(body) {
		return nil, errDocument
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errDocument, err)
	}
	d, seen := Document{}, map[string]bool{}
	for decoder.More() {
		name, err := readString(decoder)
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, errDocument
		}
		seen[name] = true
		if string(value) != "null" {
			d[name] = value
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errDocument
	}
	return d, nil
}

// Text reads a member that is a string into the variable. A member that is not there leaves it
// empty.
func (d Document) Text(name string, into *string) error {
	value, there := d[name]
	if !there {
		return nil
	}
	if err := json.Unmarshal(value, into); err != nil {
		return err
	}
	if !isPlain(*into) {
		return errJSON
	}
	return nil
}

// Flag reads a member that is true or false, likewise.
func (d Document) Flag(name string, into *bool) error {
	value, there := d[name]
	if !there {
		return nil
	}
	return json.Unmarshal(value, into)
}

// Texts reads a member that is an array of strings, likewise.
func (d Document) Texts(name string, into *[]string) error {
	value, there := d[name]
	if !there {
		return nil
	}
	var list []*string
	if err := json.Unmarshal(value, &list); err != nil {
		return err
	}
	for _, text := range list {
		if text == nil || !isPlain(*text) {
			return errJSON
		}
		*into = append(*into, *text)
	}
	return nil
}

// isPlain refuses NUL, and the U+FFFD that stands where an escape names half a character.
func isPlain(text string) bool { return !strings.ContainsAny(text, "\x00\uFFFD") }
