package verify

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A JSON text that two readers understand differently lets an attacker show them different tokens.
// encoding/json takes the last of two equal members, ignores the case of names, and reads invalid
// UTF-8 as U+FFFD. This reader refuses all of these (RFC 8259 §4, §8.1, §8.2; RFC 7493 §2).
var (
	errJSONSyntax    = errors.New("not JSON")
	errJSONUTF8      = errors.New("not UTF-8")
	errJSONSurrogate = errors.New("a lone surrogate in a string")
	errJSONControl   = errors.New("a control character in a string")
	errJSONTrailing  = errors.New("data after the JSON object")
	errJSONObject    = errors.New("not a JSON object")
	errJSONDuplicate = errors.New("a member occurs twice")
	errJSONDepth     = errors.New("nested too deeply")
	errJSONValues    = errors.New("too many values")
)

const (
	maxDepth  = 16   // levels of objects and arrays
	maxValues = 1024 // members and elements on all levels together
)

// jsonReader reads one JSON text. Strings without escapes share the memory of the text.
type jsonReader struct {
	text   string
	at     int // index in text
	depth  int
	values int // how many more are allowed
}

// parseObject reads text, which must be one JSON object.
func parseObject(text string) (map[string]any, error) {
	return parseObjectOf(text, maxValues)
}

// ReadObject reads a text that is one JSON object (RFC 8259), in the types of [Token.Claims]. It
// refuses what two readers could understand differently: a member that occurs twice, and text that
// is not Unicode.
func ReadObject(text string) (map[string]any, error) { return parseObjectOf(text, maxKeyValues) }

// parseObjectOf is parseObject for an object of at most that many values.
func parseObjectOf(text string, values int) (map[string]any, error) {
	r := jsonReader{text: text, values: values}
	if !utf8.ValidString(text) {
		return nil, errJSONUTF8
	}
	if r.next() != '{' {
		return nil, errJSONObject
	}
	object, err := r.object()
	if err != nil {
		return nil, err
	}
	if r.next(); r.at != len(text) {
		return nil, errJSONTrailing
	}
	return object, nil
}

// next skips white space and returns the byte that follows, or 0 at the end.
func (r *jsonReader) next() byte {
	for r.at < len(r.text) {
		switch c := r.text[r.at]; c {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return c
		}
	}
	return 0
}

func (r *jsonReader) value() (any, error) {
	switch c := r.next(); {
	case c == '"':
		return r.string()
	case c == '{':
		return r.object()
	case c == '[':
		return r.array()
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	case r.literal("true"):
		return true, nil
	case r.literal("false"):
		return false, nil
	case r.literal("null"):
		return nil, nil
	}
	return nil, errJSONSyntax
}

func (r *jsonReader) literal(word string) bool {
	if !strings.HasPrefix(r.text[r.at:], word) {
		return false
	}
	r.at += len(word)
	return true
}

// enter steps into the object or array that starts here.
func (r *jsonReader) enter() error {
	r.at++
	if r.depth++; r.depth > maxDepth {
		return errJSONDepth
	}
	return nil
}

// count counts one member or element.
func (r *jsonReader) count() error {
	if r.values--; r.values < 0 {
		return errJSONValues
	}
	return nil
}

// more steps over a comma and reports true, or out of the object or array that closes here.
func (r *jsonReader) more(closing byte) (bool, error) {
	switch r.next() {
	case ',':
		r.at++
		return true, nil
	case closing:
		r.at++
		r.depth--
		return false, nil
	}
	return false, errJSONSyntax
}

func (r *jsonReader) object() (map[string]any, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	object := make(map[string]any, 8)
	if r.next() == '}' {
		_, err := r.more('}')
		return object, err
	}
	for {
		if r.next() != '"' {
			return nil, errJSONSyntax
		}
		name, err := r.string()
		if err != nil {
			return nil, err
		}
		if r.next() != ':' {
			return nil, errJSONSyntax
		}
		r.at++
		value, err := r.value()
		if err != nil {
			return nil, err
		}
		if err := r.count(); err != nil {
			return nil, err
		}
		size := len(object)
		if object[name] = value; len(object) == size {
			return nil, errJSONDuplicate
		}
		if more, err := r.more('}'); !more {
			return object, err
		}
	}
}

func (r *jsonReader) array() ([]any, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	array := []any{}
	if r.next() == ']' {
		_, err := r.more(']')
		return array, err
	}
	for {
		value, err := r.value()
		if err != nil {
			return nil, err
		}
		if err := r.count(); err != nil {
			return nil, err
		}
		array = append(array, value)
		if more, err := r.more(']'); !more {
			return array, err
		}
	}
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? (RFC 8259 §6).
func (r *jsonReader) number() (json.Number, error) {
	start := r.at
	r.skip("-")
	first := r.at
	if digits := r.digits(); digits == 0 || digits > 1 && r.text[first] == '0' {
		return "", errJSONSyntax
	}
	if r.skip(".") && r.digits() == 0 {
		return "", errJSONSyntax
	}
	if r.skip("eE") {
		r.skip("+-")
		if r.digits() == 0 {
			return "", errJSONSyntax
		}
	}
	return json.Number(r.text[start:r.at]), nil
}

func (r *jsonReader) skip(chars string) bool {
	if r.at < len(r.text) && strings.IndexByte(chars, r.text[r.at]) >= 0 {
		r.at++
		return true
	}
	return false
}

func (r *jsonReader) digits() (n int) {
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		r.at++
		n++
	}
	return n
}

// string reads the string that starts here.
func (r *jsonReader) string() (string, error) {
	r.at++
	start := r.at
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			return r.text[start : r.at-1], nil
		case c == '\\':
			return r.escaped(start)
		case c < ' ':
			return "", errJSONControl
		}
		r.at++
	}
	return "", errJSONSyntax
}

// escaped reads the rest of a string that started at start, from its first escape on.
func (r *jsonReader) escaped(start int) (string, error) {
	b := []byte(r.text[start:r.at])
	for r.at < len(r.text) {
		c := r.text[r.at]
		r.at++
		switch {
		case c == '"':
			return string(b), nil
		case c < ' ':
			return "", errJSONControl
		case c != '\\':
			b = append(b, c)
		default:
			char, err := r.escape()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, char)
		}
	}
	return "", errJSONSyntax
}

// escape reads what follows a backslash.
func (r *jsonReader) escape() (rune, error) {
	if r.at == len(r.text) {
		return 0, errJSONSyntax
	}
	c := r.text[r.at]
	r.at++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	if c != 'u' {
		return 0, errJSONSyntax
	}
	char, err := r.hex()
	if err != nil || !utf16.IsSurrogate(char) {
		return char, err
	}
	if !r.literal(`\u`) {
		return 0, errJSONSurrogate
	}
	low, err := r.hex()
	if err != nil {
		return 0, err
	}
	if char = utf16.DecodeRune(char, low); char == utf8.RuneError {
		return 0, errJSONSurrogate
	}
	return char, nil
}

// hex reads four hexadecimal digits.
func (r *jsonReader) hex() (rune, error) {
	if len(r.text)-r.at < 4 {
		return 0, errJSONSyntax
	}
	n, err := strconv.ParseUint(r.text[r.at:r.at+4], 16, 16)
	if err != nil {
		return 0, errJSONSyntax
	}
	r.at += 4
	return rune(n), nil
}
