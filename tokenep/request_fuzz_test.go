package tokenep

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// read gives body to ReadRequest.
func read(mediaType string, body []byte, d *Dialect) (*Request, error) {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", mediaType)
	return ReadRequest(r, d)
}

// holdForm says what is true of every form that was accepted, however it was sent.
func holdForm(t *testing.T, r *Request) {
	for name, values := range r.Form.values {
		if slices.Contains(registered, name) && len(values) != 1 {
			t.Errorf("%s is there %d times", name, len(values))
		}
		if len(values) == 1 && values[0] == "" {
			t.Errorf("%q is there without a value", name)
		}
		for _, text := range append([]string{name}, values...) {
			if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
				t.Errorf("%q is no text", text)
			}
		}
	}
	if len(r.Audience) > maxTargets || slices.Contains(r.Audience, "") {
		t.Errorf("targets: %q", r.Audience)
	}
}

// holdRefusal says what is true of every refusal: a code and nothing of the body.
func holdRefusal(t *testing.T, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("%v is no refusal", err)
	}
	if e.Code != InvalidRequest && e.Code != InvalidScope && e.Code != InvalidTarget {
		t.Errorf("code %s", e.Code)
	}
}

// Whatever parses and is encoded again parses to the same; and no registered parameter occurs twice
// (RFC 6749 §3.2).
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"", "grant_type=client_credentials&scope=a+b", "grant_type=a&grant_type=a", "scope=", "scope", "=x", "a=%zz", "a=%00", "a=%ff", "a;b=c",
		"resource=https%3A%2F%2Fa.example%2F&resource=urn:a:b&audience=x&audience=", "resource=%23", "x=1&x=2&%C3%A4=%F0%9F%98%80", "scope=%22", "%67rant_type=x&grant_type=y",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := read("application/x-www-form-urlencoded", body, &Dialect{})
		if err != nil {
			holdRefusal(t, err)
			return
		}
		holdForm(t, r)
		again, err := read("application/x-www-form-urlencoded", []byte(url.Values(r.Form.values).Encode()), &Dialect{})
		if err != nil {
			t.Fatalf("%q does not parse again: %v", body, err)
		}
		if !maps.EqualFunc(r.Form.values, again.Form.values, slices.Equal[[]string]) || !slices.Equal(r.Scope, again.Scope) || !slices.Equal(r.Audience, again.Audience) {
			t.Errorf("%v becomes %v", r.Form.values, again.Form.values)
		}
	})
}

// Whatever parses is an object to encoding/json as well, whose strings are the parameters, and the
// same ones as a form has.
func FuzzJSONBody(f *testing.F) {
	for _, seed := range []string{
		"{}", `{"grant_type":"client_credentials","scope":"a b"}`, `{"a":"1","a":"2"}`, `{"a":1}`, `{"a":null}`, `{"a":["b"]}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`,
		`{"a":"b"}x`, `{"a":"b",}`, `[]`, "\ufeff{}", `{"a":"\u0000"}`, `{"Grant_Type":"x","resource":"https://a.example","":""}`, "{\"a\":\"\xff\"}", `{"a" "b"}`, `{"a":"b" "c":"d"}`, `{,}`,
		`{"scope":null}`, `{"scope":1}`, `{"resource":["https://a.example"]}`, `{"a":{"b":[{}]},"a":1}`, `{"a":[1,2}`, `{"a":1e999}`,
	} {
		f.Add([]byte(seed))
	}
	d := &Dialect{JSON: true}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := read("application/json", body, d)
		if err != nil {
			holdRefusal(t, err)
			return
		}
		holdForm(t, r)
		var object map[string]any
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		if err := decoder.Decode(&object); err != nil {
			t.Fatalf("%q is no object: %v", body, err)
		}
		plain := make(map[string]string)
		for name, value := range object {
			if text, ok := value.(string); ok && text != "" {
				plain[name] = text
			}
		}
		maps.DeleteFunc(r.Form.values, func(_ string, values []string) bool { return len(values) == 0 })
		if len(plain) != len(r.Form.values) {
			t.Errorf("%d members become %d parameters", len(plain), len(r.Form.values))
		}
		for name, value := range plain {
			if !slices.Equal(r.Form.values[name], []string{value}) {
				t.Errorf("%q is %q, want %q", name, r.Form.values[name], value)
			}
		}
		form, err := read("application/x-www-form-urlencoded", []byte(url.Values(r.Form.values).Encode()), d)
		if err != nil || !maps.EqualFunc(r.Form.values, form.Form.values, slices.Equal[[]string]) {
			t.Errorf("as a form %v becomes %v, %v", r.Form.values, form, err)
		}
	})
}
