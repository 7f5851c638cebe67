package oauthsubject

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/remote"
)

// Asked is a program elsewhere that is asked about each token, and what comes of its tokens.
type Asked struct {
	remote.Asked

	// What comes of its tokens. The first policy that admits a token decides. Required.
	Policies []*Policy `json:"policies,omitempty"`
}

// AskedRepeatable are the options of ParseOption that may be repeated.
const AskedRepeatable = "policy"

// ParseOption reads the line at d if it is one of these options, and says whether it is. Syntax:
//
//	<options of remote.Asked>
//	policy <name> { … }
//
// policy may be repeated: see ParsePolicy.
func (a *Asked) ParseOption(d *caddyfile.Dispenser, option string) (known bool, err error) {
	if option == "policy" {
		return true, ParsePolicy(d, &a.Policies)
	}
	return a.Asked.ParseOption(d, option)
}

// CheckTokenType returns what is wrong with a token type identifier (RFC 8693 §3).
func CheckTokenType(text string) error {
	u, err := url.Parse(text)
	if err != nil || !u.IsAbs() || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"\{}`, r) }) {
		return fmt.Errorf("token_type %q: it must be a URI, such as urn:example:token-type:session", text)
	}
	return nil
}
