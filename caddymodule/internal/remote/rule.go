package remote

import (
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// Rule says which answers mean something.
type Rule struct {
	// The statuses, 200 to 599. Required.
	Statuses []int `json:"statuses,omitempty"`

	// A member of the JSON that such an answer must have. Default: none is looked at.
	Member string `json:"member,omitempty"`

	// The value that it must have: a text, a number, true or false. Default: the empty text.
	Value string `json:"value,omitempty"`
}

// Rules returns the rules of the library.
func Rules(configured []Rule) []outbound.Rule {
	all := make([]outbound.Rule, len(configured))
	for i, r := range configured {
		all[i] = outbound.Rule{Statuses: r.Statuses, Member: r.Member, Value: r.Value}
	}
	return all
}

// ParseRule reads "yes <statuses…> [<member>=<value>]" and its like.
func ParseRule(d *caddyfile.Dispenser, into *[]Rule) error {
	option, args := d.Val(), d.RemainingArgs()
	var r Rule
	for i, arg := range args {
		if member, value, found := strings.Cut(arg, "="); found && member != "" && i == len(args)-1 && i > 0 {
			r.Member, r.Value = member, value
			continue
		}
		status, err := strconv.Atoi(arg)
		if err != nil {
			return d.Errf("%s takes statuses of HTTP, and behind them a member of the JSON and its value, such as %s 200 success=true", option, option)
		}
		r.Statuses = append(r.Statuses, status)
	}
	if len(r.Statuses) == 0 {
		return d.Errf("%s takes one or more statuses of HTTP, such as 200", option)
	}
	*into = append(*into, r)
	return nil
}

// ParseField reads "header <name> <value>". It never puts a value, which may be a secret, into an
// error.
func ParseField(d *caddyfile.Dispenser, into *map[string]string) error {
	args := d.RemainingArgs()
	if len(args) != 2 || slices.Contains(args, "") {
		return d.Err("header takes the name of a field, and its value")
	}
	if *into == nil {
		*into = make(map[string]string)
	}
	if _, there := (*into)[args[0]]; there {
		return d.Errf("header %s is given twice", args[0])
	}
	(*into)[args[0]] = args[1]
	return nil
}

// CheckField returns what is wrong with the name of a header field.
func CheckField(name string) error {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }) {
		return fmt.Errorf("header %q: that is no name of a header field", name)
	}
	return nil
}

// secretField matches the names of fields whose values are secrets.
var secretField = regexp.MustCompile(`(?i)auth|cookie|key|password|secret|token`)

// ResolveFields returns the header fields with their placeholders resolved. module is the name of
// it, for errors.
func ResolveFields(logger *slog.Logger, module string, fields map[string]string) (http.Header, error) {
	header := make(http.Header)
	for name, value := range fields {
		if secretField.MatchString(name) {
			adapt.WarnLiteral(logger, module+": header "+name, value)
		}
		value, err := adapt.Resolve(module+": header "+name, value)
		if err != nil {
			return nil, err
		}
		header.Set(name, value)
	}
	return header, nil
}
