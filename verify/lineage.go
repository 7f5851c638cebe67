package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Ancestor is a token, or another credential, that took part in the issue of a token: the one that
// was exchanged for it, that of the actor, and all that these came of themselves (RFC 8693).
// Revoking an ancestor revokes the token.
//
// An access token lists its ancestors in the private claim ancestors, a list of objects. Their
// members are claims: jti, grant_id, client_id and sub, of which each has at least one, and iat;
// and the header parameter kid.
type Ancestor struct {
	ID       string // jti
	GrantID  string // grant_id
	ClientID string // client_id
	Subject  string // sub

	// IssuedAt is iat, in whole seconds. Zero, for a credential that is no token: the iat of the
	// token that descends.
	IssuedAt time.Time

	// KeyID is the kid of the key that signed it, if it is a token of the same issuer. When the
	// issuer has withdrawn the key, what came of the token is worth no more than that. It is asked
	// for where the KeySet has a method HasKey, as that of package keys has:
	//
	//	HasKey(ctx context.Context, kid string) (bool, error)
	//
	// It reports whether there is a key with this kid, whatever its algorithm. Such a set keeps a
	// key until the last token that it signed has expired, and with it all that came of that. An
	// error means that the answer is unknown, and leads to 503.
	KeyID string
}

// keyIDs is that method.
type keyIDs interface {
	HasKey(ctx context.Context, kid string) (bool, error)
}

// The claims of this file, which are private ones (RFC 7519 §4.3).
const (
	grantIDClaim   = "grant_id"
	ancestorsClaim = "ancestors"
)

// errLineage is noted, and matters only where tokens can be revoked: other issuers may use these
// names for something else.
var errLineage = errors.New("grant_id is not a string of 1 to 1024 bytes without control characters, " +
	"or ancestors is not a list of objects with jti, grant_id, client_id or sub")

// MarshalJSON returns the object of the claim ancestors.
func (a Ancestor) MarshalJSON() ([]byte, error) {
	object := struct {
		ID       string `json:"jti,omitempty"`
		IssuedAt int64  `json:"iat,omitempty"`
		GrantID  string `json:"grant_id,omitempty"`
		ClientID string `json:"client_id,omitempty"`
		Subject  string `json:"sub,omitempty"`
		KeyID    string `json:"kid,omitempty"`
	}{ID: a.ID, GrantID: a.GrantID, ClientID: a.ClientID, Subject: a.Subject, KeyID: a.KeyID}
	if !a.IssuedAt.IsZero() {
		object.IssuedAt = a.IssuedAt.Unix()
	}
	return json.Marshal(object)
}

// UnmarshalJSON reads what MarshalJSON has written.
func (a *Ancestor) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var element any
	if err := decoder.Decode(&element); err != nil {
		return err
	}
	read, ok := parseAncestor(element)
	if !ok {
		return errLineage
	}
	*a = read
	return nil
}

// parseLineage reads grant_id and ancestors into t.
func parseLineage(claims map[string]any, t *Token) {
	if value, present := claims[grantIDClaim]; present {
		if t.GrantID, _ = value.(string); !isName(t.GrantID) {
			t.lineage = errLineage
		}
	}
	value, present := claims[ancestorsClaim]
	if !present {
		return
	}
	list, ok := value.([]any)
	if !ok {
		t.lineage = errLineage
		return
	}
	t.Ancestors = make([]Ancestor, 0, len(list))
	for _, element := range list {
		a, ok := parseAncestor(element)
		if !ok {
			t.lineage = errLineage
			return
		}
		t.Ancestors = append(t.Ancestors, a)
	}
}

// parseAncestor reads one element of the list. A member that this version does not know may be what
// the ancestor is revoked by in another, so it is not passed over.
func parseAncestor(element any) (a Ancestor, ok bool) {
	object, _ := element.(map[string]any)
	for name, value := range object {
		if number, isNumber := value.(json.Number); name == "iat" && isNumber {
			seconds, err := numericDate(string(number))
			if err != nil {
				return a, false
			}
			a.IssuedAt = time.Unix(seconds, 0)
			continue
		}
		member := a.member(name)
		text, _ := value.(string)
		if member == nil || !isName(text) {
			return a, false
		}
		*member = text
	}
	return a, a.ID != "" || a.GrantID != "" || a.ClientID != "" || a.Subject != ""
}

// member returns the field of a claim; nil: there is none.
func (a *Ancestor) member(claim string) *string {
	switch claim {
	case "jti":
		return &a.ID
	case grantIDClaim:
		return &a.GrantID
	case "client_id":
		return &a.ClientID
	case "sub":
		return &a.Subject
	case "kid":
		return &a.KeyID
	}
	return nil
}

// checkAncestorKeys: what came of a token whose key was withdrawn ends with it, although another
// key has signed it.
func (s *verification) checkAncestorKeys() *Error {
	if len(s.token.Ancestors) == 0 || s.issuer.Revocations == nil {
		return nil
	}
	keys, ok := s.issuer.Keys.(keyIDs)
	if !ok {
		return nil
	}
	for i := range s.token.Ancestors {
		kid := s.token.Ancestors[i].KeyID
		if kid == "" {
			continue
		}
		if has, err := keys.HasKey(s.ctx, kid); err != nil {
			return unavailable(err)
		} else if !has {
			return invalid("the token has been revoked", fmt.Errorf("it came of a token that was signed by the key %q, which is gone", kid))
		}
	}
	return nil
}
