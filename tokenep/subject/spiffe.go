package subject

import (
	"context"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
)

// SVIDs is the JWT-SVIDs of SPIFFE trust domains (JWT-SVID §2; RFC 8693 §3, RFC 7523 §3): they say
// which workload of a domain their bearer is. The trust domain that sub names is found, and good is
// what a key in its bundle has signed, whatever iss is: the key of one domain is of no use for the
// workloads of another.
type SVIDs struct{ *Foreign }

// Types returns the identifier of a JWT: there is none of its own.
func (SVIDs) Types() []string { return []string{grant.JWTType} }

// Validate verifies the token by the bundle, and asks the policies for the trust domain.
func (j SVIDs) Validate(ctx context.Context, r *tokenep.Request, token string) (*tokenep.Authorization, error) {
	return j.validate(ctx, r, token)
}
