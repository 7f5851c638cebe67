package verify

import "strings"

// Challenge tells a client how to authenticate: a scheme, and what the client should know to use it
// (RFC 9110 §11.3). Each challenge is a line of its own in the header WWW-Authenticate, since lists
// in one line are hard to take apart (RFC 9110 §11.6.1).
type Challenge struct {
	Scheme     string      // "Bearer" (RFC 6750 §3)
	Parameters []Parameter // in the order in which they are written
}

// Parameter is one auth-param of a challenge (RFC 9110 §11.2).
type Parameter struct {
	Name  string // a token (RFC 9110 §5.6.2), such as "realm"
	Value string // written as a quoted-string; a parameter without value is left out
}

// String returns the challenge as WWW-Authenticate has it.
func (c Challenge) String() string {
	size := len(c.Scheme)
	for _, p := range c.Parameters {
		size += len(p.Name) + len(p.Value) + len(`, =""`)
	}
	var b strings.Builder
	b.Grow(size)
	b.WriteString(c.Scheme)
	separator := " "
	for _, p := range c.Parameters {
		if p.Value == "" {
			continue
		}
		b.WriteString(separator)
		b.WriteString(p.Name)
		b.WriteString(`="`)
		writeQuoted(&b, p.Value)
		b.WriteByte('"')
		separator = ", "
	}
	return b.String()
}

// writeQuoted writes the inside of a quoted-string (RFC 9110 §5.6.4). What could end the header
// line, or is not ASCII, becomes a question mark.
func writeQuoted(b *strings.Builder, s string) {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
}
