package caddymodule

import (
	"net/http"
	"strconv"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/verify"
)

type keyList struct {
	Keys []keys.Info `json:"keys"`
}

// listKeys returns the signing keys: what is published of them, and their times.
func listKeys(r *adminRequest) (any, error) {
	return keyList{r.server.core.Keys.List()}, nil
}

// rotateKeys makes the next key the active one, and returns the keys as they are then.
func rotateKeys(r *adminRequest) (any, error) {
	force := false
	if text := r.URL.Query().Get("force"); text != "" {
		var err error
		if force, err = strconv.ParseBool(text); err != nil {
			return nil, refuse(http.StatusBadRequest, "force: it is true or false")
		}
	}
	if err := r.server.core.Keys.Rotate(r.Context(), force); err != nil {
		return nil, err
	}
	return listKeys(r)
}

// revocation names the access tokens to revoke: one of its members is set.
type revocation struct {
	JTI      string `json:"jti,omitempty"`       // one token, and what it was exchanged for
	GrantID  string `json:"grant_id,omitempty"`  // all that came of one authorization: for an API token, its id
	ClientID string `json:"client_id,omitempty"` // all that a client has got so far
	Subject  string `json:"sub,omitempty"`       // all that are about a subject so far
}

// revokeTokens revokes access tokens (RFC 7009 §2.1): this process refuses them when it has answered.
func revokeTokens(r *adminRequest) (any, error) {
	var in revocation
	if err := r.read(&in); err != nil {
		return nil, err
	}
	now := r.server.core.Config.Now()
	entry := verify.Revocation{Expires: now.Add(r.server.core.TokenLife() + verify.MaxLeeway)}
	members := 0
	for _, m := range []struct {
		claim, value string
		before       time.Time // a client and a subject may go on to get new tokens
	}{{"jti", in.JTI, time.Time{}}, {"grant_id", in.GrantID, time.Time{}}, {"client_id", in.ClientID, now}, {"sub", in.Subject, now}} {
		if m.value != "" {
			entry.Claim, entry.Value, entry.Before = m.claim, m.value, m.before
			members++
		}
	}
	if members != 1 {
		return nil, refuse(http.StatusBadRequest, "exactly one of jti, grant_id, client_id and sub is required")
	}
	if in.JTI != "" {
		derived := entry
		derived.Claim = "grant_id"
		if err := r.server.core.Revoke(r.Context(), derived); err != nil {
			return nil, err
		}
	}
	return nil, r.server.core.Revoke(r.Context(), entry)
}
