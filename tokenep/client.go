package tokenep

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// The values of Client.AuthMethod (RFC 7591 §2, token_endpoint_auth_method).
const (
	AuthBasic = "client_secret_basic"
	AuthPost  = "client_secret_post"
	AuthNone  = "none"
)

// ClientSubjectPrefix begins the sub of a token that a client got for itself (RFC 6749 §4.4), so that no client can be
// mistaken for a user of the same name (RFC 9068 §5). No user's name may begin with it.
const ClientSubjectPrefix = state.ClientSubjectPrefix

// APITokenClientPrefix begins the client_id of an access token that was had for an API token alone, with no client in play:
// RFC 9068 §2.2 requires the claim, and the API token is what was registered. No client's id may begin with it.
const APITokenClientPrefix = "api_token:"

// Client is a registered client (RFC 6749 §2): what it may do, and how it proves who it is.
type Client struct {
	ID         string        `json:"id"`
	Name       string        `json:"name,omitempty"`        // for people
	Secrets    []Secret      `json:"secrets,omitempty"`     // any of them authenticates, so that one can be rotated; none: a public client
	AuthMethod string        `json:"auth_method,omitempty"` // pins client_secret_basic or client_secret_post; empty: either
	Grants     []string      `json:"grants,omitempty"`      // grant_type values it may use
	Scope      verify.Scope  `json:"scope,omitempty"`       // what it may ask for; also what it gets when it asks for nothing, unless DefaultScope is set
	Default    verify.Scope  `json:"default_scope,omitempty"`
	Audience   []string      `json:"audience,omitempty"`      // targets it may ask for; all of them when it asks for none
	TokenTTL   time.Duration `json:"token_ttl,omitempty"`     // life of its access tokens; zero: the server's
	From       []string      `json:"exchange_from,omitempty"` // clients whose access tokens it may exchange, beside its own; * for all
	Created    time.Time     `json:"created,omitzero"`
}

// Secret is one client secret, as a hash.
type Secret struct {
	Hash    string    `json:"hash"`             // $sha256$… for generated secrets; argon2id or bcrypt for those that people chose
	Expires time.Time `json:"expires,omitzero"` // refused from then on; zero: never
}

// GeneratedHash begins the hash of a secret that this server made.
const GeneratedHash = "$sha256$"

// HashSecret returns what is kept of a generated secret: SHA-256 is enough for 256 random bits. It is not for secrets that people choose.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return GeneratedHash + base64.RawURLEncoding.EncodeToString(sum[:])
}

// Public reports whether the client has no secret to authenticate with (RFC 6749 §2.1).
func (c *Client) Public() bool { return len(c.Secrets) == 0 }

// May reports whether the client may use the grant.
func (c *Client) May(grantType string) bool { return slices.Contains(c.Grants, grantType) }

// DefaultScope returns what the client gets when it asks for no scope.
func (c *Client) DefaultScope() verify.Scope {
	if len(c.Default) > 0 {
		return c.Default
	}
	return c.Scope
}

// maxID is the longest client_id, in bytes.
const maxID = 128

// What a client may ask for must fit into one token: verifiers take 8 KiB, and 64 audiences, at the most.
const (
	maxReach    = 4096
	maxAudience = 64
)

// FitsToken reports whether a token can be good for all of this.
func FitsToken(scope verify.Scope, audience []string) bool {
	return len(scope.String())+len(strings.Join(audience, " ")) <= maxReach && len(audience) <= maxAudience
}

// Validate reports what is wrong with a client as it was configured or submitted.
func (c *Client) Validate() error {
	switch {
	case c.ID == "":
		return errors.New("client without an id")
	case len(c.ID) > maxID:
		return fmt.Errorf("client %.20s…: the id has %d bytes; at most %d are allowed", c.ID, len(c.ID), maxID)
	case strings.ContainsFunc(c.ID, func(r rune) bool { return r < 0x20 || r > 0x7e }):
		return fmt.Errorf("client %q: an id is made of visible ASCII characters and spaces (RFC 6749 appendix A.1)", c.ID)
	case strings.HasPrefix(c.ID, APITokenClientPrefix):
		return fmt.Errorf("client %q: ids that begin with %s are reserved", c.ID, APITokenClientPrefix)
	case !FitsToken(c.Scope, c.Audience):
		return fmt.Errorf("client %q: its scope and audience do not fit into a token; %d audiences and %d bytes are the most", c.ID, maxAudience, maxReach)
	case !c.Scope.Includes(c.Default):
		return fmt.Errorf("client %q: default_scope %q is not within scope %q", c.ID, c.Default, c.Scope)
	case c.Public() && c.AuthMethod != "" && c.AuthMethod != AuthNone:
		return fmt.Errorf("client %q: auth_method %s needs a secret", c.ID, c.AuthMethod)
	case !c.Public() && c.AuthMethod == AuthNone:
		return fmt.Errorf("client %q: auth_method none and a secret exclude each other", c.ID)
	case !slices.Contains([]string{"", AuthBasic, AuthPost, AuthNone}, c.AuthMethod):
		return fmt.Errorf("client %q: unknown auth_method %q; it is %s, %s or %s", c.ID, c.AuthMethod, AuthBasic, AuthPost, AuthNone)
	}
	if c.TokenTTL == 0 {
		return nil
	}
	if err := CheckLife(c.TokenTTL); err != nil {
		return fmt.Errorf("client %q: access tokens: %w", c.ID, err)
	}
	return nil
}

// CheckLife refuses a life that is over when it begins: exp has whole seconds here.
func CheckLife(life time.Duration) error {
	if life < time.Second {
		return fmt.Errorf("a life of %s; it is at least a second", life)
	}
	return nil
}

// Clients finds a client by its id. It returns an error that Is InvalidClient for an id that nobody has, and any other error when the answer is not known.
type Clients func(ctx context.Context, id string) (*Client, error)
