package caddymodule

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// readBlock calls set for each line of the block that begins at d, with d at its first word. Words beyond the repeatable ones may occur once.
// Errors carry file and line, and never a value.
func readBlock(d *caddyfile.Dispenser, set func(option string) error, repeatable ...string) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] && !slices.Contains(repeatable, option) {
			return d.Errf("%s is given twice", option)
		}
		seen[option] = true
		if err := set(option); err != nil {
			return err
		}
	}
	return nil
}

// unknown is the error for a word that is not in the grammar.
func unknown(d *caddyfile.Dispenser) error {
	return d.Errf("unrecognized subdirective '%s'", d.Val())
}

// readFlag reads an option that has no arguments.
func readFlag(d *caddyfile.Dispenser, into *bool) error {
	option := d.Val()
	if d.NextArg() {
		return d.Errf("%s takes no argument", option)
	}
	*into = true
	return nil
}

// readOne reads an option that has one argument, and checks it if it is a literal.
func readOne(d *caddyfile.Dispenser, into *string, checks ...func(string) error) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Errf("%s takes one argument", option)
	}
	*into = args[0]
	for _, check := range checks {
		if err := check(args[0]); err != nil && isLiteral(args[0]) {
			return d.WrapErr(err)
		}
	}
	return nil
}

// readSome reads an option that has one or more arguments, and checks the literals among them.
func readSome(d *caddyfile.Dispenser, into *[]string, checks ...func([]string) error) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 || slices.Contains(args, "") {
		return d.Errf("%s takes one or more arguments", option)
	}
	*into = args
	for _, check := range checks {
		if err := check(literals(args)); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// isLiteral tells what is known now from what a placeholder stands for when the configuration is loaded.
func isLiteral(value string) bool { return !strings.Contains(value, "{") }

func literals(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(value string) bool { return !isLiteral(value) })
}

// located adds file and line to an error, if there is one.
func located(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// readChoice reads an option whose argument is one of a few.
func readChoice(d *caddyfile.Dispenser, into *string, choices ...string) error {
	option := d.Val()
	if err := readOne(d, into); err != nil {
		return err
	}
	if !slices.Contains(choices, *into) {
		return d.Errf("%s is one of %s", option, strings.Join(choices, ", "))
	}
	return nil
}

// readDuration reads an option whose argument is a duration such as 30s, 4h or 730d. JSON has no place for 0s where that is the default there; a check
// refuses it.
func readDuration(d *caddyfile.Dispenser, into *caddy.Duration, checks ...func(time.Duration) error) error {
	option, text := d.Val(), ""
	if err := readOne(d, &text); err != nil {
		return err
	}
	duration, err := caddy.ParseDuration(text)
	if err != nil || duration < 0 {
		return d.Errf("%s: %q is no duration such as 30s, 4h or 730d", option, text)
	}
	for _, check := range checks {
		if err := check(duration); err != nil {
			return d.Errf("%s: %w", option, err)
		}
	}
	*into = caddy.Duration(duration)
	return nil
}

// readCount reads an option whose argument is a whole number. JSON has no place for 0, which is the default there.
func readCount(d *caddyfile.Dispenser, into *int) error {
	option, text := d.Val(), ""
	if err := readOne(d, &text); err != nil {
		return err
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return d.Errf("%s: %q is no whole number from 1 on", option, text)
	}
	*into = int(n)
	return nil
}
