package verify

import "time"

// Token is what a verified access token says (RFC 9068 §2.2). One Token is
// shared by every request that presents the same bytes, so nothing in it may
// be changed.
type Token struct {
	Header   Header
	Issuer   string   // iss
	Subject  string   // sub
	ClientID string   // client_id (RFC 8693 §4.3); empty when absent
	ID       string   // jti; empty when absent
	Audience []string // aud, also when it was a single string

	// exp, nbf and iat, whole seconds: a fraction is rounded down. Zero when
	// absent, which Expires of a verified token never is.
	Expires, NotBefore, IssuedAt time.Time

	Scope Scope // scope (RFC 8693 §4.2); empty when absent

	// Claims has every member of the payload, those above included. Values are
	// string, bool, nil, json.Number, []any and map[string]any.
	Claims map[string]any
}

// Header is the part of the JOSE header that decides something (RFC 7515 §4.1).
type Header struct {
	Algorithm string // alg, as written
	KeyID     string // kid; empty when absent
	Type      string // typ in lower case without "application/" (RFC 7515 §4.1.9); empty when absent
}

// Actor gives the act claim of a delegated token (RFC 8693 §4.1), or nil. It
// says who acts for the subject; it is never the subject itself, and its own
// nested act members are history only.
func (t *Token) Actor() map[string]any {
	actor, _ := t.Claims["act"].(map[string]any)
	return actor
}
