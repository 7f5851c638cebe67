package verify

import "time"

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
