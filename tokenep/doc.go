// Package tokenep is the token endpoint of OAuth 2.0 (RFC 6749 §3.2), and with its sub-packages a
// small authorization server. A client, or a program with an API token, asks for an access token
// and gets a signed JWT (RFC 9068), which package verify, or anybody with the key set, can check
// alone.
//
// It is a library over net/http and log/slog, and knows nothing of Caddy. Who a user is, whoever
// stands in front of it says, or a source of users, over which it signs people in on pages of its
// own. It does not protect an API: package verify does, which knows nothing of this one.
//
// # The path of a request
//
// Read these in turn, and you have read the program:
//
//	token_endpoint.go            the ten phases of POST /oauth/token, in one function, so that no
//	                             grant can forget one: read the form · authenticate the client ·
//	                             find the grant · may this client use it · proof of possession ·
//	                             the grant's own section · never more than was allowed · sign ·
//	                             spend the credential · answer
//	grant/client_credentials.go  phase 6 for a client that acts for itself (RFC 6749 §4.4);
//	                             authorization_code.go, for a user (§4.1), stands beside it
//	state/apitokens.go           what a grant checks, and spends: once, atomically, or not at all
//	store/store.go               where that is kept: five verbs on versioned records
//	minter.go                    phase 8: the claims, the signature, the text
//
// # This package
//
// The vocabulary that all the others share, and the pipeline:
//
//	token_endpoint.go      the token endpoint
//	possession.go          its fifth phase: what the tokens are bound to
//	narrow.go              its seventh phase: never more than was allowed
//	endpoint.go            what every endpoint has in common, and a row of the table of them
//	dialect.go             how one path of the token endpoint differs from the RFCs
//	bearer_client.go       a client that is known by its access token
//	request.go             forms, scope and target
//	request_json.go        JSON bodies
//	parameters.go          what a browser sends, in a query or in a form
//	document.go            JSON documents
//	resource.go            when two resources are one (RFC 8707 §2)
//	response.go            the answer (RFC 6749 §5.1)
//	error.go               the refusal (RFC 6749 §5.2)
//	method.go              405, OPTIONS and CORS
//	client.go              a registered client (RFC 6749 §2, RFC 7591 §2)
//	client_auth.go         how a client may authenticate, and with what keys (RFC 7591 §2)
//	client_secret.go       its secrets, as hashes
//	client_exchange.go     what it may do by token exchange (RFC 8693)
//	client_uri.go          its pages
//	client_certificate.go  what is in the certificate of a client (RFC 8705 §2.1)
//	redirect_match.go      which of these a client may register by itself (RFC 7591 §5)
//	redirect_uri.go        where the answer to a user goes (RFC 6749 §3.1.2, RFC 8252 §7)
//	duration.go            how its durations are written
//	clientauth.go          which client sent a request (RFC 6749 §2.3)
//	limiter.go             guessing at secrets is slowed down (RFC 6749 §10.10)
//	pace.go                how often something may be done by anybody
//	rate_limit.go          how many guesses are too many
//	limiter_guess.go       likewise at codes, by people who have signed in (RFC 8628 §5.1)
//	limiter_table.go       the bounded memory of it
//	request_log.go         the lines about requests, and how many of them a flood gets
//	grant.go               what a grant is, and what it allows
//	turns.go               slow hashes are computed a few at a time
//	proven.go              which slow hashes need not be computed again
//	users.go               people who sign in by name and password (RFC 6749 §4.3)
//	login.go               what they type, as sources are asked for it (RFC 8265)
//	user_claims.go         what clients are told of users (OpenID Connect Core §5.4)
//	claim_source.go        where that comes from, and what fits
//	minter.go              minting an access token (RFC 9068)
//	id_token.go            minting an ID token (OpenID Connect Core §2)
//
// # The packages below
//
//	server       puts it all together: a configuration in, routes out. Users start here
//	grant        one file for each grant_type
//	clientauth   one file for each way a client authenticates
//	subject      one file for each kind of token that can be exchanged
//	user         one package for each place where people and their passwords are known
//	outbound     how programs elsewhere are asked
//	page         what people see: templates, texts, and the style of a site
//	endpoint     one file for each other endpoint: authorization, revocation, key set, metadata
//	registry     the clients that are registered at run time
//	keys         the signing keys, and how they turn over
//	state        what is remembered, typed, over the five verbs: API tokens, revocations, codes
//	store        the five verbs, as a contract and as a test of it, and the engines
//	tokeneptest  a server for the tests of grants, endpoints and clients
//
// # Rules that hold everywhere
//
// The error that a client sees is a constant of the source; the cause goes to the log alone. No
// credential is stored or logged. State that is away is 503 with Retry-After, never an invalid_*
// code, which would make clients throw away what is still good. A request that is refused has spent
// and revoked nothing. All times come from one clock, which is injected.
package tokenep
