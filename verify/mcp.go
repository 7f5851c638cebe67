package verify

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MCP rules operations of the Model Context Protocol (revision 2026-07-28, Streamable HTTP) by the
// headers of a request: Mcp-Method, and Mcp-Name for tools. The body is not read. A server of that
// revision refuses a request whose body says something else, as the protocol demands of it. So
// every request with a body must say that it is of that revision or a later one: an older server
// refuses it, or does not look at the headers, and nobody would.
type MCP struct {
	// Tools are the scope-tokens that calls of tools need: those of all that match. A tool that
	// none matches may not be called; Pattern "*" with no scope permits all others.
	Tools []MCPScope

	// Methods are the scope-tokens that other methods need, such as "resources/*", and "tools/*"
	// beside Tools: those of all that match. A method that none matches needs no more than the
	// route does.
	Methods []MCPScope
}

// MCPScope is what an operation needs.
type MCPScope struct {
	Pattern string // the name; "*" stands for any characters, also none
	Scope   Scope  // all of it
}

// Headers of MCP's requests, in canonical form.
const (
	mcpVersionHeader = "Mcp-Protocol-Version"
	mcpMethodHeader  = "Mcp-Method"
	mcpNameHeader    = "Mcp-Name"
)

// mcpHeaders are taken from requests in these spellings alone.
var mcpHeaders = []string{mcpVersionHeader, mcpMethodHeader, mcpNameHeader}

// mcpVersion is the first revision whose servers compare headers and body.
const mcpVersion = "2026-07-28"

var mcpVersionForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)

var (
	errMCPVersion = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the request needs one header MCP-Protocol-Version, with 2026-07-28 or a later revision"}
	errMCPMethod = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "the request needs one header Mcp-Method"}
	errMCPName = &Error{Status: http.StatusBadRequest, Code: InvalidRequest,
		Description: "a call of a tool needs one header Mcp-Name, plain or as base64"}
	errMCPTool = &Error{Status: http.StatusForbidden, Code: AccessDenied, Scope: Scope{},
		Description: "no rule permits this tool", Cause: errors.New("no tool of MCP matches it")}
)

// check returns what is wrong with the patterns and the scope, or nil.
func (m *MCP) check() error {
	for _, list := range [][]MCPScope{m.Tools, m.Methods} {
		for i, entry := range list {
			if entry.Pattern == "" {
				return errors.New("a pattern of MCP is empty; * stands for all")
			}
			if slices.ContainsFunc(list[:i], func(other MCPScope) bool { return other.Pattern == entry.Pattern }) {
				return fmt.Errorf("the pattern %q of MCP is given twice", entry.Pattern)
			}
			for _, token := range entry.Scope {
				if err := checkRequired(token); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// scope returns all that some operation needs.
func (m *MCP) scope() (all Scope) {
	for _, entry := range slices.Concat(m.Methods, m.Tools) {
		all = all.with(entry.Scope)
	}
	return all
}

// requireMCP holds a request to the rules of MCP. The challenge for a token that has too little
// scope has all that the route and the operation need: clients ask for no more than it says.
func (g *Guard) requireMCP(r *http.Request, t *Token) error {
	needs, err := g.MCP.needs(r)
	if err != nil {
		return err
	}
	for _, token := range needs {
		if !g.Grants(t, token) {
			refusal := lacksScope(t, strconv.Quote(token))
			refusal.Scope = g.required.with(needs)
			return refusal
		}
	}
	return nil
}

// needs returns the scope that the operation of r needs.
func (m *MCP) needs(r *http.Request) (Scope, error) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions:
		return nil, nil // of streams and sessions, with which no tool is called
	}
	if version := r.Header[mcpVersionHeader]; len(version) != 1 || version[0] < mcpVersion || !mcpVersionForm.MatchString(version[0]) {
		return nil, errMCPVersion
	}
	method := r.Header[mcpMethodHeader]
	if len(method) != 1 || !isMCPMethod(method[0]) {
		return nil, errMCPMethod
	}
	var needs Scope
	for _, entry := range m.Methods {
		if matches(entry.Pattern, method[0]) {
			needs = needs.with(entry.Scope)
		}
	}
	if method[0] != "tools/call" {
		return needs, nil
	}
	tool, err := m.tool(r.Header[mcpNameHeader])
	return needs.with(tool), err
}

// tool returns the scope that the tool of that name needs.
func (m *MCP) tool(name []string) (needs Scope, err error) {
	if len(name) != 1 {
		return nil, errMCPName
	}
	tool, ok := DecodeMCPName(name[0])
	if !ok {
		return nil, errMCPName
	}
	permitted := false
	for _, entry := range m.Tools {
		if matches(entry.Pattern, tool) {
			needs, permitted = needs.with(entry.Scope), true
		}
	}
	if !permitted {
		return nil, errMCPTool
	}
	return needs, nil
}

// isMCPMethod reports whether a text could be the name of a method: one that a server might trim,
// or fold, is none.
func isMCPMethod(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		lower := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		return !lower && !('A' <= c && c <= 'Z') && !strings.ContainsRune("/_-.", c)
	})
}

// base64 of a header of MCP, for values that a header could not have.
const (
	mcpEncoded = "=?base64?"
	mcpEnd     = "?="
)

// DecodeMCPName returns the value of a header such as Mcp-Name: plain printable ASCII, or base64 of
// UTF-8 text between =?base64? and ?=. It is not ok if it is empty, malformed, or in a form that
// others could read in another way, or has control characters.
func DecodeMCPName(value string) (name string, ok bool) {
	if !strings.HasPrefix(value, "=?") {
		plain := !strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' })
		return value, plain && value != "" && value == strings.TrimSpace(value)
	}
	encoded, begins := strings.CutPrefix(value, mcpEncoded)
	encoded, ends := strings.CutSuffix(encoded, mcpEnd)
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	// The decoder skips line feeds, which a header cannot have.
	if !begins || !ends || err != nil || strings.ContainsAny(encoded, "\r\n") || len(decoded) == 0 || !utf8.Valid(decoded) {
		return "", false
	}
	name = string(decoded)
	return name, !strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// matches reports whether a name fits a pattern, in which * stands for any characters.
func matches(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	name, begins := strings.CutPrefix(name, parts[0])
	name, ends := strings.CutSuffix(name, parts[len(parts)-1])
	if !begins || !ends {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(name, part)
		if !found {
			return false
		}
		name = after
	}
	return true
}
