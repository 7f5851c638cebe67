// Package verify checks OAuth 2.0 bearer tokens: JWT access tokens (RFC 9068), signed with a key of
// a trusted issuer.
//
// It depends on net/http, and not on any proxy. A [Guard] is HTTP middleware; a [Verifier] alone is
// enough for tokens that come from elsewhere.
//
//	keys := verify.NewFileKeys("/etc/idp/jwks.json", verify.FileKeysOptions{})
//	verifier, err := verify.New(verify.Config{
//		Issuers: []verify.TrustedIssuer{{
//			Name: "https://idp.example", Keys: keys, Audience: []string{"https://api.example"},
//		}},
//		Cache:  verify.NewCache(10_000, nil),
//		Leeway: 30 * time.Second,
//	})
//	guard := &verify.Guard{Verifier: verifier, Scope: verify.Scope{"orders:read"}}
//	http.Handle("/orders", guard.Handler(orders))
//
// # What it does not do
//
// A token cannot make it open a connection to where the token says: key sets come from the process,
// a file, or a URL of the configuration. It accepts no encrypted tokens, HMACs by configured
// secrets alone, and opaque tokens where their issuer is asked about them, which package
// introspection does. It does not check ID tokens. A token that is bound to a key of its holder
// (cnf) is good only with a proof that its sender has the key: see [DPoP].
//
// # The path of a token
//
//	guard.go         a request: strip headers · extract · verify · rules · set headers · next
//	headers.go       what a client must not send, and where a request can carry it
//	protected.go     names of headers, in any spelling
//	path.go          paths that the upstream could take for others (RFC 3986 §5.2.4)
//	bearer.go        where in the request the token is (RFC 6750 §2)
//	sources.go       other headers, and cookies
//	presentation.go  the token with what the request shows of it, as a verifier gets them
//	verifier.go      the configuration, and the run over the checks
//	cache.go         seen before? then its bytes, signature and claims are proven
//	checks.go        the list of checks, in order, one a line: start reading here
//	introspected.go  signed answers about such (RFC 9701)
//	opaque.go        what is no JWT of a known issuer, and is asked about (RFC 7662)
//	compact.go       three parts, canonical base64url, header (RFC 7515)
//	json.go          JSON that can be read in one way only
//	claims.go        payload to Token (RFC 7519)
//	profile.go       what the tokens of an issuer are like, and what tells them from ID tokens
//	signature.go     ES, RS, PS, EdDSA over the standard library (RFC 7518, RFC 8037)
//	secret.go        HMACs, of issuers that have no key (RFC 7518 §3.2)
//	times.go         when it is good, and for how long (RFC 7519 §4.1)
//	signin.go        how, and how long ago, the person signed in (RFC 9470)
//	confirmation.go  tokens that are bound to a key (RFC 7800)
//	dpop.go          proofs that their sender has it (RFC 9449)
//	proof.go         what a proof says
//	target.go        and the URL that it is for (RFC 3986 §6.2)
//	nonces.go        nonces for proofs, of which none is stored
//	replays.go       the proofs that were used, in memory
//	revoked.go       tokens revoked before they expire
//	lineage.go       what a token came of, by which it is revoked too
//	inspect.go       all checks and rules, one by one, for people
//	rule.go          what a verified token permits, by scope and otherwise
//	mcp.go           what operations of the Model Context Protocol it permits
//	limits.go        from where, and how often, a token may be used
//	rates.go         how often it was, in memory
//	claimpath.go     where a claim is in a token
//	headerclaim.go   claims on their way to the upstream
//	headerform.go    how they are written to a header (RFC 9110 §5.5)
//	resource.go      what clients are told about a protected resource (RFC 9728)
//	replacement.go   a credential of the upstream in the place of the token
//	loosename.go     names of cookies and parameters, as applications read them
//	streams.go       responses that end with their token
//	refusal.go       the answer to a refused request, and its headers
//	early.go         which does not wait for the body of the request
//	assertion.go     beside access tokens: assertions, which a client is known by (RFC 7523)
//	spiffe.go        likewise: JWT-SVIDs, by which workloads are known
//	error.go         why it is refused: 400, 401, 403, 413, 429 or 503
//	challenge.go     how the client can do better: WWW-Authenticate (RFC 9110 §11.6.1)
//
// Of the other files, token.go, scope.go and rate.go say what a verified token is, and context.go
// takes it to the handlers; private.go marks responses to tokens in the query (RFC 6750 §2.3);
// headerwriter.go sees answers begin; contain.go keeps panics within goroutines. The keys are
// keyset.go, jwk.go, split.go, ed25519.go and roca.go, in filekeys.go a file of them, and in
// urlkeys.go those at a URL: discovery.go finds it (RFC 8414), fetch.go makes the connection,
// specialuse.go says to which addresses none is made, and fetcher.go fetches each URL once.
// Package verifytest is an issuer for tests.
//
// # What always holds
//
// The parser comes first and is strict: a token has one spelling and one meaning, so that nothing
// behind the guard can read it differently. The key decides the algorithm, never the token. Before
// the signature is verified, nothing of the token is used but iss, to find the keys of the issuer.
// The cache holds facts, never decisions. When keys are unavailable the answer is 503, since a 401
// makes clients throw good tokens away.
package verify
