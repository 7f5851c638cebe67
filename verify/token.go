package verify

import (
	"encoding/json"
	"time"
)

// Token is what a verified access token says (RFC 9068 §2.2). Requests that present the same bytes
// share one Token, so nothing in it may be changed.
type Token struct {
	Header   Header
	Issuer   string   // iss
	Subject  string   // sub
	ClientID string   // client_id (RFC 8693 §4.3); empty when absent
	ID       string   // jti; empty when absent
	Audience []string // aud, also when it is a single string
	GrantID  string   // grant_id, the authorization that the token came of; empty when absent

	// exp, nbf and iat in whole seconds: a fraction is rounded down. Zero when absent; exp of a
	// verified token never is.
	Expires, NotBefore, IssuedAt time.Time

	Scope Scope // scope (RFC 8693 §4.2); empty when absent

	// Claims has every member of the payload, including those above. A value is a string, bool,
	// nil, json.Number, []any or map[string]any.
	Claims map[string]any

	// Ancestors are what the token came of, beside its own grant: see [Ancestor].
	Ancestors []Ancestor

	// Limits bound the use of the token, in the claim use_limits: a [Guard] sees to them.
	Limits []Limit

	deviations deviations // from RFC 9068
	lineage    error      // what is wrong with grant_id or ancestors; nil: nothing

	// loose is the token with the scope of scp, for issuers that are permitted a loose scope; nil
	// where that is the same.
	loose *Token
}

// Header has the members of the JOSE header that verification depends on (RFC 7515 §4.1).
type Header struct {
	Algorithm string // alg, as written
	KeyID     string // kid; empty when absent

	// Type is typ in lower case, without "application/" (RFC 7515 §4.1.9); empty when absent.
	Type string
}

// Actor returns the act claim of a delegated token (RFC 8693 §4.1), or nil. It identifies who acts
// for the subject, and is never the subject itself. The act members nested in it name earlier
// actors, and are for information only. An act that is no object says that somebody acts, and not
// who: it is returned as an empty map, which is not nil.
func (t *Token) Actor() map[string]any {
	act, present := t.Claims["act"]
	if actor, ok := act.(map[string]any); ok || !present {
		return actor
	}
	return map[string]any{}
}

// What values weigh beside their texts, in bytes.
const (
	valueWeight  = 64  // with its place in what holds it, which may be larger than it needs to be
	objectWeight = 384 // with room for its first members
	tokenWeight  = 512 // likewise an ancestor or a limit of it, at the most
)

// Weight returns about how many bytes of memory the token has, so that what remembers tokens can
// have a bound.
func (t *Token) Weight() int {
	n := tokenWeight + weigh(t.Claims) + valueWeight*(len(t.Scope)+len(t.Audience)) +
		len(t.Issuer) + len(t.Subject) + len(t.ClientID) + len(t.ID) + len(t.GrantID)
	for i := range t.Ancestors {
		a := &t.Ancestors[i]
		n += tokenWeight + len(a.ID) + len(a.GrantID) + len(a.ClientID) + len(a.Subject) + len(a.KeyID)
	}
	for i := range t.Limits {
		l := &t.Limits[i]
		n += tokenWeight + len(l.ID) + (len(l.AllowFrom)+len(l.DenyFrom))*valueWeight
	}
	if t.loose != nil {
		n += tokenWeight + valueWeight*len(t.loose.Scope)
	}
	return n
}

// weigh returns about how many bytes of memory a value of JSON has.
func weigh(value any) int {
	n := valueWeight
	switch value := value.(type) {
	case string:
		n += len(value)
	case json.Number:
		n += len(value)
	case []any:
		for _, element := range value {
			n += weigh(element)
		}
	case map[string]any:
		n += objectWeight
		for name, member := range value {
			n += len(name) + weigh(member)
		}
	}
	return n
}
