package record

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Limits of what people write, in bytes. Together they keep a record far below store.MaxData.
const (
	MaxName    = 128
	MaxSubject = 255 // OpenID Connect Core §2: sub
	MaxTarget  = 1024
	maxScope   = 4096
)

// ErrInvalid says that a value is outside its limits. The text of an error that Is ErrInvalid says
// which.
var ErrInvalid = errors.New("invalid")

// invalid is a text that says what is outside the limits.
type invalid string

func (e invalid) Error() string { return string(e) }

// Is makes it an ErrInvalid.
func (e invalid) Is(target error) bool { return target == ErrInvalid }

// Invalidf returns an error of this text that Is ErrInvalid.
func Invalidf(format string, args ...any) error { return invalid(fmt.Sprintf(format, args...)) }

// CheckText checks a text that is shown to people: its length, and that no character of it moves a
// cursor or ends a line.
func CheckText(what, text string, limit int) error {
	switch {
	case len(text) > limit:
		return Invalidf("%s has %d bytes, at most %d are allowed", what, len(text), limit)
	case !utf8.ValidString(text):
		return Invalidf("%s is not UTF-8", what)
	case strings.ContainsFunc(text, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }):
		return Invalidf("%s has a control character", what)
	}
	return nil
}

// CheckScope checks a scope against the syntax of RFC 6749 §3.3. A scope that was put together from
// parts is valid only if its text reads back as the same parts.
func CheckScope(scope verify.Scope) error {
	text := scope.String()
	if len(text) > maxScope {
		return Invalidf("the scope has %d bytes, at most %d are allowed", len(text), maxScope)
	}
	parsed, err := verify.ParseScope(text)
	if err != nil {
		return Invalidf("the scope %.80q: %v", text, err)
	}
	if len(parsed) != len(scope) {
		return Invalidf("the scope %.80q repeats a token, or one has a space", text)
	}
	return nil
}
