package verify

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxHeaderName is the largest number of letters and digits in the name of a protected header.
const maxHeaderName = 64

// protected is a set of header names that a client must not send, because the upstream trusts them
// to come from the guard.
//
// Names are compared folded: by their letters and digits, without case. An upstream that reads
// headers as CGI variables (RFC 3875 §4.1.18) sees X_User.Id, X-User-Id and "X-User-Id " under one
// name, and some servers map every other character to "_".
type protected struct {
	names map[string]struct{} // folded

	// By a byte of ASCII: bit n-1 is set if a name of n bytes begins with it, or ends.
	first, last [utf8.RuneSelf]uint64
}

func (p *protected) add(name string) error {
	if !isFieldName(name) {
		return fmt.Errorf("%q is not the name of a header", name)
	}
	folded := fold(name)
	if folded == "" || len(folded) > maxHeaderName {
		return fmt.Errorf("a protected header needs 1 to %d letters and digits in its name: %q", maxHeaderName, name)
	}
	if p.names == nil {
		p.names = make(map[string]struct{})
	}
	p.names[folded] = struct{}{}
	length := uint64(1) << (len(folded) - 1)
	p.first[folded[0]] |= length
	p.last[folded[len(folded)-1]] |= length
	return nil
}

func mustProtect(names ...string) *protected {
	var p protected
	for _, name := range names {
		if err := p.add(name); err != nil {
			panic(err)
		}
	}
	return &p
}

// has reports whether name folds to a protected one. It runs for each header of each request,
// allocates nothing, folds only what begins and ends like a protected name, and hashes only what
// has the length of one, too.
func (p *protected) has(name string) bool {
	lengths := p.lengths(name)
	if lengths == 0 {
		return false
	}
	var folded [maxHeaderName]byte
	n := 0
	for i := range len(name) {
		c := foldByte(name[i])
		if c == 0 {
			continue
		}
		if n == maxHeaderName {
			return false
		}
		folded[n] = c
		n++
	}
	if lengths&(1<<(n-1)) == 0 {
		return false
	}
	_, ok := p.names[string(folded[:n])]
	return ok
}

// lengths returns the lengths of the protected names that begin and end as name does, folded: bit
// n-1 stands for n.
func (p *protected) lengths(name string) uint64 {
	for len(name) > 0 && foldByte(name[0]) == 0 {
		name = name[1:]
	}
	for len(name) > 0 && foldByte(name[len(name)-1]) == 0 {
		name = name[:len(name)-1]
	}
	if name == "" {
		return 0
	}
	return p.first[foldByte(name[0])] & p.last[foldByte(name[len(name)-1])]
}

// fold returns the letters and digits of name, in lower case.
func fold(name string) string {
	folded := make([]byte, 0, len(name))
	for i := range len(name) {
		if c := foldByte(name[i]); c != 0 {
			folded = append(folded, c)
		}
	}
	return string(folded)
}

// foldByte returns c in lower case, or 0 if it is neither a letter nor a digit.
func foldByte(c byte) byte { return foldTable[c] }

// foldTable is a table because foldByte runs for each byte of each header name of each request.
var foldTable = func() (table [256]byte) {
	for c := range byte(utf8.RuneSelf) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			table[c] = c
		case 'A' <= c && c <= 'Z':
			table[c] = c + 'a' - 'A'
		}
	}
	return table
}()

// isFieldName reports whether name is a field-name: a token (RFC 9110 §5.1, §5.6.2).
func isFieldName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		alnum := c < 0x80 && foldByte(byte(c)) != 0
		return !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}
