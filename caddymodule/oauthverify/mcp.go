package oauthverify

import (
	"maps"
	"slices"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify"
)

// MCP is what operations of the Model Context Protocol need beside the scope of the route. They are
// told apart by the headers Mcp-Method and Mcp-Name, without reading the body: so a request with a
// body must be of the revision 2026-07-28 or a later one, whose servers refuse headers that differ
// from it.
type MCP struct {
	// What calls of tools need: the scope tokens of all entries that match. A tool that none
	// matches may not be called. Default: none.
	Tools []Operation `json:"tools,omitempty"`

	// What other methods need, such as resources/*: the scope tokens of all entries that match.
	// Default: none.
	Methods []Operation `json:"methods,omitempty"`
}

// Operation is what operations of some names need.
type Operation struct {
	// The name, in which * stands for any characters. Required.
	Name string `json:"name"`

	// Scope tokens, all of which are required. Default: none.
	Scope []string `json:"scope,omitempty"`
}

// rules returns the rules as the library has them.
func (m *MCP) rules() *verify.MCP {
	if m == nil {
		return nil
	}
	return &verify.MCP{Tools: mcpScopes(m.Tools), Methods: mcpScopes(m.Methods)}
}

func mcpScopes(list []Operation) (rules []verify.MCPScope) {
	for _, operation := range list {
		rules = append(rules, verify.MCPScope{Pattern: operation.Name, Scope: operation.Scope})
	}
	return rules
}

// operations returns the rules by the words of their options.
func (m *MCP) operations() map[string][]Operation {
	if m == nil {
		return nil
	}
	return map[string][]Operation{"tool": m.Tools, "method": m.Methods}
}

// check refuses placeholders that nobody would resolve, and commas between scope tokens.
func (m *MCP) check() error {
	operations := m.operations()
	for _, option := range slices.Sorted(maps.Keys(operations)) {
		for _, operation := range operations[option] {
			line := adapt.Line(option + " " + operation.Name)
			if err := adapt.RefusePlaceholders(option, append([]string{operation.Name}, operation.Scope...)); err != nil {
				return err
			}
			if err := adapt.CheckScope(operation.Scope, line); err != nil {
				return err
			}
		}
	}
	return nil
}
