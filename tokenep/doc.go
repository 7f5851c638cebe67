// Package tokenep is the token endpoint of OAuth 2.0 (RFC 6749 §3.2), and with its sub-packages a
// small authorization server: a client, or somebody's program with an API token, asks for an access
// token and gets a signed JWT (RFC 9068) that package verify, or anybody with the key set, can
// check without asking back.
//
// It is a library: net/http and log/slog, nothing of Caddy. It is no login page and knows no users:
// whom a token is about is said by the grant that it is issued under. It does not protect an API
// either: that is package verify, which knows nothing of this one.
//
// # The path of a request
//
// Read these in turn, and you have read the program:
//
//	handler.go                   the eight phases of POST /oauth/token, in one function, so that no grant can leave one out:
//	                             read the form · authenticate the client · find the grant · may this client use it ·
//	                             the grant's own section · bind · never more than was allowed · issue
//	grant/client_credentials.go  phase 5 for a client that acts for itself (RFC 6749 §4.4); token_exchange.go beside it (RFC 8693)
//	state/apitokens.go           what a grant redeems: once, atomically, or not at all
//	store/store.go               where that is kept: five verbs on versioned records
//	issuer.go                    phase 8: the claims, the signature, the text
//
// # This package
//
// The vocabulary that all the others share, and the pipeline:
//
//	handler.go     the token endpoint                    client.go      what is registered of a client (RFC 6749 §2)
//	method.go      405, OPTIONS and CORS                 clientauth.go  which client sent a request (RFC 6749 §2.3)
//	request.go     forms, JSON bodies, scope and target  limiter.go     who guesses at secrets is slowed down (RFC 6749 §10.10)
//	response.go    the answer (RFC 6749 §5.1)            grant.go       what a grant is, and what it allows
//	error.go       the refusal (RFC 6749 §5.2)           issuer.go      minting a token (RFC 9068)
//
// # The packages below
//
//	server      puts it all together: a configuration in, routes out. Start here to use the library
//	grant       one file for each grant_type
//	clientauth  one file for each way a client authenticates
//	subject     one file for each kind of token that can be exchanged
//	endpoint    one file for each other endpoint: revocation, key set, metadata
//	keys        the signing keys, and how they turn over
//	state       what is remembered, typed, over the five verbs: clients, API tokens, revocations
//	store       the five verbs, as a contract and as a test of it, and the engines that keep records
//
// # Rules that hold everywhere
//
// The error that a client sees is a constant of the source; the cause goes to the log alone.
// Nothing that a client could present as a credential is stored or logged. State that is away is
// 503 with Retry-After, never an invalid_* code, which would make clients throw away what is still
// good. A request that is refused has spent and revoked nothing. All times come from one clock,
// which is injected.
package tokenep
