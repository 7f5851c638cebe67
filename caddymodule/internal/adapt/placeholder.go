package adapt

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// IsLiteral reports whether a value is known when a Caddyfile is read. Others have a placeholder,
// which is resolved when the configuration is loaded.
func IsLiteral(value string) bool { return !strings.Contains(value, "{") }

// Literals returns the values that are known when a Caddyfile is read.
func Literals(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(value string) bool { return !IsLiteral(value) })
}

// placeholder matches what Caddy would resolve somewhere, such as {env.NAME}. A brace alone may be
// part of a name.
var (
	placeholder     = regexp.MustCompile(`\{[a-z]+\.[^{}]*\}`)
	filePlaceholder = regexp.MustCompile(`\{file\.([^{}]*)\}`)
)

// RefusePlaceholders returns an error for an option whose placeholders nobody would resolve.
func RefusePlaceholders(option string, values []string) error {
	for _, value := range values {
		if placeholder.MatchString(value) {
			return fmt.Errorf("%s: %s would not be resolved; write the value, or {$NAME} in a Caddyfile",
				option, value)
		}
	}
	return nil
}

// unresolved matches a placeholder in a text of an expression: it would be none of its variables.
var unresolved = regexp.MustCompile(`\{(env|file|http|system|time|vars)\.[^{}]*\}`)

// CheckExpression returns an error for an expression that has a placeholder, which nobody would
// resolve.
func CheckExpression(text string) error {
	if found := unresolved.FindString(text); found != "" {
		return fmt.Errorf("%s would not be resolved; write the value, or {$NAME} in a Caddyfile", found)
	}
	return nil
}

// Resolve expands the placeholders of a configured value, which must not be empty afterwards, and
// runs the checks on it. An error names the option, and the placeholder that is to blame.
func Resolve(option, value string, checks ...func(string) error) (string, error) {
	resolved, err := Expand(value)
	switch {
	case err != nil:
		return "", Of(option, fmt.Errorf("%s: %w; it has to be set when the configuration is loaded", option, err))
	case resolved == "":
		return "", Of(option, errors.New(option+" is missing"))
	}
	for _, check := range checks {
		if err := check(resolved); err != nil && resolved != value {
			return "", Of(option, fmt.Errorf("%s %s: %w", option, value, err))
		} else if err != nil {
			return "", Of(option, err)
		}
	}
	return resolved, nil
}

// Expand expands the placeholders of a value, none of which may be unknown or empty. For Caddy that
// of a file which cannot be read is empty: the error says why.
func Expand(value string) (string, error) {
	expanded, err := caddy.NewReplacer().ReplaceOrErr(value, true, true)
	if err == nil {
		return expanded, nil
	}
	for _, found := range filePlaceholder.FindAllStringSubmatch(value, -1) {
		f, unreadable := os.Open(found[1])
		if unreadable != nil {
			return "", fmt.Errorf("%s: %w", found[0], unreadable)
		}
		_ = f.Close()
	}
	return "", err
}

// WarnLiteral logs that a secret is written down where a placeholder would do: a configuration is
// shown by GET /config/ and kept in autosave.json, after {$NAME} in a Caddyfile was replaced.
func WarnLiteral(logger *slog.Logger, option, secret string) {
	if secret != "" && !placeholder.MatchString(secret) {
		logger.Warn("a secret is in the configuration in clear, where GET /config/ and autosave.json show it: write {env.NAME} or {file./path}",
			"option", option)
	}
}

// ResolveAll is Resolve for each of the values.
func ResolveAll(option string, values []string, checks ...func(string) error) ([]string, error) {
	resolved := make([]string, len(values))
	for i, value := range values {
		var err error
		if resolved[i], err = Resolve(option, value, checks...); err != nil {
			return nil, err
		}
	}
	return resolved, nil
}
