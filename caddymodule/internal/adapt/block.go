package adapt

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Block calls set for each line of the block that begins at d, with d at the first word of the
// line. A word may occur once unless it is repeatable. Errors have file and line, and no value.
func Block(d *caddyfile.Dispenser, set func(option string) error, repeatable ...string) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] && !slices.Contains(repeatable, option) {
			return d.Errf("%s is given twice", option)
		}
		seen[option] = true
		if err := set(option); err != nil {
			if word, is := errors.AsType[unknown](err); is {
				return explain(d, word, set)
			}
			return err
		}
	}
	return nil
}

// Located adds file and line to an error, if there is one.
func Located(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// Flag reads an option that has no arguments.
func Flag(d *caddyfile.Dispenser, into *bool) error {
	option := d.Val()
	if d.NextArg() {
		return d.Errf("%s takes no argument", option)
	}
	*into = true
	return nil
}

// One reads an option that has one argument, and runs the checks on it if it is a literal.
func One(d *caddyfile.Dispenser, into *string, checks ...func(string) error) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Errf("%s takes one argument%s", option, Empty(args))
	}
	*into = args[0]
	for _, check := range checks {
		if err := check(args[0]); err != nil && IsLiteral(args[0]) {
			return d.WrapErr(err)
		}
	}
	return nil
}

// Empty is the end of an error about arguments: why there is none, or an empty one, where somebody
// has written one down. A variable of a Caddyfile is replaced before it is split into words.
func Empty(args []string) string {
	if len(args) > 0 && !slices.Contains(args, "") {
		return ""
	}
	return ", and there is none: is an empty {$VARIABLE} there?"
}

// Warn logs what is probably a mistake, with file and line, as the directives of Caddy do: they
// have no other way to warn.
func Warn(d *caddyfile.Dispenser, warning string) {
	caddy.Log().Named("caddyfile").Warn(fmt.Sprintf("%s, at %s:%d", warning, d.File(), d.Line()))
}

// JSON reads an option whose argument is JSON, between backquotes or as a heredoc.
func JSON(d *caddyfile.Dispenser, into *json.RawMessage) error {
	option, text := d.Val(), ""
	if err := One(d, &text); err != nil {
		return err
	}
	if !json.Valid([]byte(text)) {
		return d.Errf("%s must be JSON, between backquotes", option)
	}
	*into = json.RawMessage(text)
	return nil
}

// Some reads an option that has one or more arguments, and runs the checks on the literals among
// them.
func Some(d *caddyfile.Dispenser, into *[]string, checks ...func([]string) error) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 || slices.Contains(args, "") {
		return d.Errf("%s takes one or more arguments%s", option, Empty(args))
	}
	*into = args
	for _, check := range checks {
		if err := check(Literals(args)); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// Choice reads an option whose argument is one of a few.
func Choice(d *caddyfile.Dispenser, into *string, choices ...string) error {
	option := d.Val()
	if err := One(d, into); err != nil {
		return err
	}
	if !slices.Contains(choices, *into) {
		return d.Errf("%s must be one of %s", option, strings.Join(choices, ", "))
	}
	return nil
}

// Duration reads an option whose argument is a duration such as 30s, 4h or 730d. Where the JSON
// leaves 0s out because it stands for the default, a check must refuse it.
func Duration(d *caddyfile.Dispenser, into *caddy.Duration, checks ...func(time.Duration) error) error {
	option, text := d.Val(), ""
	if err := One(d, &text); err != nil {
		return err
	}
	duration, err := caddy.ParseDuration(text)
	if err != nil || duration < 0 {
		return d.Errf("%s must be a duration such as 30s, 4h or 730d, not %q", option, text)
	}
	for _, check := range checks {
		if err := check(duration); err != nil {
			return d.Errf("%s: %w", option, err)
		}
	}
	*into = caddy.Duration(duration)
	return nil
}

// Count reads an option whose argument is a whole number. It cannot be 0, which the JSON leaves out
// because it stands for the default.
func Count(d *caddyfile.Dispenser, into *int) error {
	option, text := d.Val(), ""
	if err := One(d, &text); err != nil {
		return err
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return d.Errf("%s must be a whole number, 1 or more, not %q", option, text)
	}
	*into = int(n)
	return nil
}
