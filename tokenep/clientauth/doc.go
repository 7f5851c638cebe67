// Package clientauth is the ways in which a client can authenticate: one file for each
// token_endpoint_auth_method (RFC 7591 §2).
//
//	all.go                          the list
//	basic.go                        client_secret_basic: the header (RFC 6749 §2.3.1)
//	post.go                         client_secret_post: the body (RFC 6749 §2.3.1)
//	private_key_jwt.go              an assertion that the client signed (RFC 7523 §2.2)
//	client_secret_jwt.go            the same by its secret (OpenID Connect Core §9)
//	tls_client_auth.go              a certificate of a known authority (RFC 8705 §2.1)
//	self_signed_tls_client_auth.go  a certificate of a known key (RFC 8705 §2.2)
//	none.go                         a public client names itself (RFC 6749 §3.2.1)
//	secret.go                       how a secret is compared with its hash
//	secret_slow.go                  the same where people chose the secret: slowly for all
//	keys.go                         the public keys of a client
//	certificates.go                 what certificate a client has presented
//	decoy.go                        the keys of a client that there is not
//
// Which method a request uses, and how failures count, is decided by tokenep.Authenticator, the
// same for every endpoint. It asks each method for Credentials, of which one may find any, loads
// the client that they name, and has the same method Verify them, unless the client is registered
// for one whose credentials look the same. The methods with a secret share Secrets.
package clientauth
