package htpasswd

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/user/hashed"
)

var bcryptHash = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

var (
	errNoColon  = errors.New("there is no colon; a line must be <name>:<hash>")
	errNoBcrypt = errors.New("the hash is not bcrypt; make it with htpasswd -B, or caddy hash-password --algorithm bcrypt")
)

// parse reads the lines of a file. Empty ones, and those that begin with #, mean nothing. An error
// says which line is wrong, and shows neither the hash nor what may be a password.
func parse(content []byte) (map[string]hashed.Person, error) {
	people := make(map[string]hashed.Person)
	lines := make(map[string]int) // of the names
	number := 0
	for raw := range bytes.Lines(content) {
		number++
		line := strings.TrimRight(string(raw), "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, hash, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if first := lines[name]; first > 0 {
			return nil, fmt.Errorf("line %d: user %q is on line %d already", number, name, first)
		}
		lines[name] = number
		people[name] = hashed.Person{Hash: hash}
	}
	return people, nil
}

func parseLine(line string) (name, hash string, err error) {
	name, hash, colon := strings.Cut(line, ":")
	if !colon {
		return "", "", errNoColon
	}
	if !bcryptHash.MatchString(hash) {
		return "", "", errNoBcrypt
	}
	if err := tokenep.CheckLoginName(name); err != nil {
		return "", "", err
	}
	return name, hash, tokenep.CheckUser(name)
}
