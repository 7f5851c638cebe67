package outbound

import (
	"fmt"
	"slices"
)

// Rule says which answers mean something: those of a status, and with a value of a member of their
// JSON if Member is not empty.
type Rule struct {
	Statuses []int
	Member   string
	Value    string
}

// Statuses returns the rules for answers of these statuses.
func Statuses(statuses ...int) []Rule { return []Rule{{Statuses: statuses}} }

// CheckRules returns what is wrong with the rules of an option.
func CheckRules(option string, rules []Rule) error {
	for _, rule := range rules {
		if len(rule.Statuses) == 0 {
			return fmt.Errorf("%s: a rule must have a status", option)
		}
		if i := slices.IndexFunc(rule.Statuses, func(status int) bool { return status < 200 || status > 599 }); i >= 0 {
			return fmt.Errorf("%s: %d is no status of an answer; they are 200 to 599", option, rule.Statuses[i])
		}
	}
	return nil
}

// CheckExclusive refuses rules for yes and no that one answer can follow.
func CheckExclusive(yes, no []Rule) error {
	for _, y := range yes {
		for _, n := range no {
			if err := excludes(y, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func excludes(yes, no Rule) error {
	shared := slices.IndexFunc(yes.Statuses, func(status int) bool { return slices.Contains(no.Statuses, status) })
	switch {
	case shared < 0:
	case yes.Member == "" || no.Member == "":
		return fmt.Errorf("status %d means both yes and no; write a member and its value behind each, such as yes 200 success=true", yes.Statuses[shared])
	case yes.Member == no.Member && yes.Value == no.Value:
		return fmt.Errorf("status %d with %s=%s means both yes and no", yes.Statuses[shared], yes.Member, yes.Value)
	}
	return nil
}
