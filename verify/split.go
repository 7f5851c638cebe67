package verify

import "errors"

// A document may have parts that parseObject refuses, and others that are good. splitSet tells them
// apart by quotes and brackets alone, as every reader does.

// splitSet returns the elements of the one member "keys" of a JSON object, as they are written.
// What other members have does not matter, as long as it is JSON.
func splitSet(text string) ([]string, error) {
	r := jsonReader{text: text}
	if r.next() != '{' {
		return nil, errJSONObject
	}
	list, found := "", false
	err := r.each('}', func() error {
		name, value, err := r.member()
		if err != nil || name != "keys" {
			return err
		}
		if found {
			return errJSONDuplicate
		}
		list, found = value, true
		return nil
	})
	if err == nil && r.next() != 0 {
		err = errJSONTrailing
	}
	if err == nil && (!found || list[0] != '[') {
		err = errNoKeys
	}
	if err != nil {
		return nil, err
	}
	var elements []string
	r = jsonReader{text: list}
	err = r.each(']', func() error {
		element, err := r.part()
		elements = append(elements, element)
		return err
	})
	return elements, err
}

// each calls read for each member or element of the object or array that starts here.
func (r *jsonReader) each(closing byte, read func() error) error {
	r.at++
	if r.next() == closing {
		r.at++
		return nil
	}
	for {
		if err := read(); err != nil {
			return err
		}
		if more, err := r.more(closing); !more {
			return err
		}
	}
}

// member returns the name and the text of the member that starts here. A name that cannot be read
// is that of another member.
func (r *jsonReader) member() (name, value string, err error) {
	if r.next() != '"' {
		return "", "", errJSONSyntax
	}
	text, err := r.part()
	if err != nil {
		return "", "", err
	}
	if r.next() != ':' {
		return "", "", errJSONSyntax
	}
	r.at++
	if value, err = r.part(); err != nil {
		return "", "", err
	}
	named := jsonReader{text: text}
	name, _ = named.string()
	return name, value, nil
}

// part returns the text of the value that starts here. The value need not be good, but must be
// written as JSON is.
func (r *jsonReader) part() (string, error) {
	r.next()
	start := r.at
	var open []byte // the brackets that are to be closed
	for {
		if r.at == len(r.text) {
			return "", errJSONSyntax
		}
		switch c := r.text[r.at]; c {
		case '"':
			if !r.skipString() {
				return "", errJSONSyntax
			}
		case '{', '[':
			open = append(open, c+2) // ASCII has its opposite there
			r.at++
		case '}', ']':
			if len(open) == 0 || open[len(open)-1] != c {
				return "", errJSONSyntax
			}
			open = open[:len(open)-1]
			r.at++
		case ',', ':':
			if len(open) == 0 {
				return "", errJSONSyntax
			}
			r.at++
		default:
			r.skipPlain()
		}
		if len(open) == 0 {
			text := r.text[start:r.at]
			value := jsonReader{text: text, values: maxKeyValues}
			if _, err := value.value(); errors.Is(err, errJSONSyntax) || err == nil && value.at != len(text) {
				return "", errJSONSyntax
			}
			return text, nil
		}
	}
}

// skipString steps over the string that starts here, whatever is in it, if it ends.
func (r *jsonReader) skipString() bool {
	for r.at++; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case '"':
			r.at++
			return true
		case '\\':
			r.at++
		}
	}
	return false
}

// skipPlain steps over bytes, at least one, up to the next bracket, quote, comma, colon or space.
func (r *jsonReader) skipPlain() {
	for r.at++; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case '"', '{', '}', '[', ']', ',', ':', ' ', '\t', '\n', '\r':
			return
		}
	}
}
