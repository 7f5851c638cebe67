package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Exchanged is what a family has in the place of a sign-in if it came of a token exchange (RFC 8693
// §2.2.1): what its access tokens say beside subject, scope and audience, and what it ends with.
type Exchanged struct {
	// GrantID is the grant_id of the access tokens. The id of the family is among their ancestors.
	GrantID string `json:"grant_id"`

	Issuer string `json:"iss,omitempty"` // of the subject token

	// Ancestors are what was exchanged, and all that it came of, each with its IssuedAt. When one
	// of them is revoked, no refresh token of the family is good.
	Ancestors []verify.Ancestor `json:"ancestors"`

	ChainIssuedAt time.Time `json:"chain_iat"`          // of the first token of the chain
	ChainEnds     time.Time `json:"chain_exp,omitzero"` // of what that came of, if it is known

	Limits []verify.Limit `json:"use_limits,omitempty"`
	Act    Claims         `json:"act,omitempty"`
	MayAct Claims         `json:"may_act,omitempty"`
	Claims Claims         `json:"claims,omitempty"` // further ones
	Actor  *Actor         `json:"actor,omitempty"`  // nil: nobody acts
}

// Actor is whose access is asked for beside that of the subject.
type Actor struct {
	Subject  string    `json:"sub"`
	ClientID string    `json:"client_id,omitempty"`
	Issuer   string    `json:"iss,omitempty"` // of the actor token; empty: this server
	GrantID  string    `json:"grant_id,omitempty"`
	Allowed  time.Time `json:"allowed,omitzero"`    // when its user allowed it; zero: not known
	ByMayAct bool      `json:"by_may_act,omitzero"` // the subject token said who may act
}

// Claims are claims, or the members of one. Their numbers are json.Number, so that none is rounded.
type Claims map[string]any

// UnmarshalJSON reads them.
func (c *Claims) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode((*map[string]any)(c))
}

var errAncestor = errors.New("what it came of was revoked")

// checkAncestors refuses a family of which an ancestor is revoked.
func (s Families) checkAncestors(f Family) error {
	x := f.Exchanged
	if x != nil && s.Revocations != nil && s.Revocations.set.Revoked(&verify.Token{Ancestors: x.Ancestors}) {
		return fmt.Errorf("%w family: %w", ErrRevoked, errAncestor)
	}
	return nil
}

// IsFamilyID reports whether a grant_id is the id of a family, or of a code that is none.
func IsFamilyID(grantID string) bool {
	_, err := parseFamilyID(grantID)
	return err == nil
}
