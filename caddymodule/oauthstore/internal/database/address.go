package database

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
)

// ReadAddress reads the argument of a store in a Caddyfile: the address of a database. A password
// in clear is an error, since the adapted configuration would show it. check refuses what is no
// address; a file that it names may be on another machine.
func ReadAddress(d *caddyfile.Dispenser, into *string, check func(string) error) error {
	d.Next() // consume the name of the store
	if err := adapt.One(d, into); err != nil {
		return err
	}
	if err := checkPassword(*into); err != nil {
		return d.WrapErr(err)
	}
	if addressPlaceholder.MatchString(*into) {
		return nil // what is in its place may be anything: it is checked when it is known
	}
	err := check(*into)
	if _, file := errors.AsType[*fs.PathError](err); file {
		return nil
	}
	return adapt.Located(d, err)
}

// errLiteralPassword is the error for a password in clear, which GET /config/ and autosave.json
// would show. That includes {$NAME} in a Caddyfile, which is replaced while the file is read.
var errLiteralPassword = errors.New("the password of a store must be a placeholder, such as {env.NAME} or {file.PATH}, not plain text")

// passwordSetting matches a password outside of the user's part of a URL, up to where it may end.
var passwordSetting = regexp.MustCompile(`(?i)password\s*=\s*'?([^'\s&]*)`)

// userPart returns where user and password are in a URL: between the scheme and the last @. A
// password that is not encoded may contain a slash, and must not be shown because of that.
func userPart(address string) (from, to int) {
	scheme := strings.Index(address, "://")
	to = strings.LastIndex(address, "@")
	if scheme < 0 || to < scheme+3 {
		return 0, 0
	}
	return scheme + 3, to
}

// checkPassword returns an error if the address has a password in clear. The error shows nothing of
// the address.
func checkPassword(address string) error {
	from, to := userPart(address)
	_, password, _ := strings.Cut(withoutPlaceholders(address[from:to]), ":")
	if password != "" {
		return errLiteralPassword
	}
	for _, setting := range passwordSetting.FindAllStringSubmatch(address, -1) {
		if withoutPlaceholders(setting[1]) != "" {
			return errLiteralPassword
		}
	}
	return nil
}

var addressPlaceholder = regexp.MustCompile(`\{(?:env|file)\.[^{}]+\}`)

func withoutPlaceholders(s string) string { return addressPlaceholder.ReplaceAllString(s, "") }

// locationKey is the key of the digests of addresses, which are worth nothing outside of this
// process.
var locationKey = rand.Text()

// Locate resolves the address of a database. The location contains a digest of the address: a
// reload with another password opens the store anew, and the location does not show the password.
func Locate(option, address, server string) (resolved, location string, err error) {
	if address == "" {
		return "", "", errors.New(option + " is missing")
	}
	if err := checkPassword(address); err != nil {
		return "", "", fmt.Errorf("%s: %w", option, err)
	}
	from, to := userPart(address)
	rest := keep
	if !strings.Contains(address, "://") && passwordSetting.MatchString(address) {
		rest = quote
	}
	for _, part := range []struct {
		text   string
		escape func(string) string
	}{{address[:from], rest}, {address[from:to], encode}, {address[to:], rest}} {
		text, err := resolveEscaped(part.text, part.escape)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", option, err)
		}
		resolved += text
	}
	mac := hmac.New(sha256.New, []byte(locationKey))
	mac.Write([]byte(resolved))
	return resolved, server + " " + hex.EncodeToString(mac.Sum(nil)), nil
}

func keep(s string) string { return s }

// encode is for the user's part of a URL, where a space is %20 and not +.
func encode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// quote is for the value of a setting, in quotes or not.
func quote(s string) string { return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) }

// resolveEscaped replaces placeholders, and escapes each value.
func resolveEscaped(text string, escape func(string) string) (string, error) {
	return caddy.NewReplacer().ReplaceFunc(text, func(name string, value any) (any, error) {
		resolved := caddy.ToString(value)
		if resolved == "" {
			return nil, fmt.Errorf("placeholder {%s} is empty", name)
		}
		return escape(resolved), nil
	})
}
