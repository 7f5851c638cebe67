package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ClaimPath says where a claim is in a token: its name, or the names that lead to a member of an
// object. No character of a name means anything: {"a.b"} is the claim a.b, {"a", "b"} the member b
// of the claim a.
type ClaimPath []string

// ParseClaimPath reads a path as it is written in a configuration: the names with dots between
// them, as in realm_access.roles. In a name, a dot, a slash and a backslash may have a backslash
// before them, and a dot must: kubernetes\.io.namespace. A text with :// is the name of a claim, as
// it is: https://example.com/roles.
func ParseClaimPath(text string) (ClaimPath, error) {
	if strings.Contains(text, "://") {
		return ClaimPath{text}, nil
	}
	if !strings.ContainsAny(text, `.\`) && text != "" {
		return ClaimPath{text}, nil
	}
	var path ClaimPath
	name := make([]byte, 0, len(text))
	for i := 0; i <= len(text); i++ {
		switch {
		case i == len(text) || text[i] == '.':
			if len(name) == 0 {
				return nil, fmt.Errorf("claim %.200q: %w", text, errEmptyName)
			}
			path, name = append(path, string(name)), name[:0]
		case text[i] == '\\':
			if i++; i == len(text) || !strings.Contains(escaped, text[i:i+1]) {
				return nil, fmt.Errorf("claim %.200q: %w", text, errEscape)
			}
			name = append(name, text[i])
		default:
			name = append(name, text[i])
		}
	}
	return path, nil
}

// escaped are the characters that may have a backslash before them.
const escaped = `./\`

var (
	errEmptyName = errors.New(`a name is missing: dots separate names, and \. stands for a dot in one`)
	errEscape    = errors.New(`a backslash stands before a dot, a slash or a backslash, and nowhere else`)
)

// String returns the text that ParseClaimPath reads.
func (p ClaimPath) String() string {
	if len(p) == 1 && strings.Contains(p[0], "://") {
		return p[0]
	}
	names := slices.Clone(p)
	for i, name := range names {
		name = strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(name)
		names[i] = strings.ReplaceAll(name, "://", `:\//`)
	}
	return strings.Join(names, ".")
}

func (p ClaimPath) check() error {
	if len(p) == 0 || slices.Contains(p, "") {
		return errors.New("a claim has a name, which is not empty, and so has each member that leads to it")
	}
	return nil
}

// Claim returns a claim of the token by its name, or a member of an object by the names that lead
// to it.
func (t *Token) Claim(path ...string) (value any, ok bool) {
	if len(path) == 0 {
		return nil, false
	}
	object := t.Claims
	for _, name := range path[:len(path)-1] {
		if object, ok = object[name].(map[string]any); !ok {
			return nil, false
		}
	}
	value, ok = object[path[len(path)-1]]
	return value, ok
}
