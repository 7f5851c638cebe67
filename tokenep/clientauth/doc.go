// Package clientauth is the ways in which a client can authenticate: one file for each
// token_endpoint_auth_method (RFC 7591 §2).
//
//	all.go              the list
//	basic.go            client_secret_basic: the Authorization header (RFC 6749 §2.3.1)
//	post.go             client_secret_post: the body (RFC 6749 §2.3.1)
//	private_key_jwt.go  private_key_jwt: an assertion that the client signed (RFC 7523 §2.2)
//	none.go             none: a public client names itself (RFC 6749 §3.2.1)
//	secret.go           how a secret is compared with its hash
//	secret_slow.go      the same where people chose the secret: slowly, and as slowly for all
//	turns.go            how many do that at once
//	keys.go             the public keys of a client
//	decoy.go            those of a client that there is not
//
// Which method a request uses, and how failures count, is decided by tokenep.Authenticator, the
// same for every endpoint. It asks each method for Credentials, of which one may find any, loads
// the client that they name, and has the same method Verify them. The methods with a secret share
// Secrets.
package clientauth
