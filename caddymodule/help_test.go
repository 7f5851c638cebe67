package caddymodule_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// everyCommand calls do with each command below caddy oauth, and with that.
func everyCommand(do func(*cobra.Command)) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		do(c)
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(oauthCommand())
}

// Each flag that a help text names is one of its command, or of the command that the text names
// before it, and each example is a command line that the program takes.
func TestHelpNamesWhatThereIs(t *testing.T) {
	flag := regexp.MustCompile(`(?:caddy oauth |')?([a-z][a-z -]*?)? ?--([a-z][a-z-]+)`)
	everyCommand(func(c *cobra.Command) {
		has := func(command *cobra.Command, name string) bool {
			return name == "help" || command.Flags().Lookup(name) != nil || command.InheritedFlags().Lookup(name) != nil ||
				command.PersistentFlags().Lookup(name) != nil
		}
		texts := c.Short + "\n" + c.Long
		c.Flags().VisitAll(func(f *pflag.Flag) { texts += "\n" + f.Usage })
		for _, m := range flag.FindAllStringSubmatch(texts, -1) {
			of := c
			words := strings.Fields(m[1])
			for i := range words {
				if named, rest, err := oauthCommand().Find(words[i:]); err == nil && len(rest) == 0 && named.Name() != "oauth" {
					of = named
					break
				}
			}
			if !has(of, m[2]) {
				t.Errorf("%s: its help names --%s, which %s does not have", c.CommandPath(), m[2], of.CommandPath())
			}
		}
		if strings.Contains(c.Example, `\\`) {
			t.Errorf("%s: a shell takes two backslashes for one that is not at the end of the line", c.CommandPath())
		}
		for _, line := range commandLines("```\n" + strings.ReplaceAll(c.Example, "$(date +%F)", "today") + "\n```") {
			if _, err := parseCommand(line); err != nil {
				t.Errorf("%s: the example %s: %v", c.CommandPath(), line, err)
			}
		}
	})
}

// Each default that a help text gives as a value is the one of the source.
func TestHelpGivesTheRightDefaults(t *testing.T) {
	source := map[string]string{
		"create --expires-in":   tokenep.Duration(state.DefaultAPITokenLife).String(),
		"add --id-token-alg":    tokenep.IDTokenAlgs[0],
		"update --id-token-alg": tokenep.IDTokenAlgs[0],
		"inspect --from":        "127.0.0.1", // TestScript/cli_inspect_url
	}
	value := regexp.MustCompile(`default:? ([A-Z0-9][A-Za-z0-9.]*)`)
	everyCommand(func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			name := c.Name() + " --" + f.Name
			if m := value.FindStringSubmatch(f.Usage); m != nil {
				if source[name] != m[1] {
					t.Errorf("%s: the help says that the default is %s, and the source %q", name, m[1], source[name])
				}
				delete(source, name)
			}
		})
	})
	for name := range source {
		t.Errorf("%s: its help gives no default", name)
	}
}
