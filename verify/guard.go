package verify

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Guard admits requests that carry a good access token (RFC 6750). With Verifier alone it is
// strict: it takes the token from the header Authorization and from nowhere else, and removes it
// before the request goes on.
//
// A Guard is set up before its first use, and neither changed nor copied afterwards. It is safe for
// concurrent use.
type Guard struct {
	// Verifier decides whether a token is good. Required.
	Verifier TokenVerifier

	// Scope lists scope-tokens of which a token needs all, AnyScope those of which it needs at
	// least one. Empty: none. Both are checked as rules, before Rules.
	Scope, AnyScope Scope

	// ScopeImplies says which scope-tokens others include, at any depth: with "admin" for "read"
	// and "write", a token that has admin is as good as one that has all three. Challenges name
	// what is needed, and not what would include it.
	ScopeImplies map[string]Scope

	// MCP rules calls of the Model Context Protocol; nil: this is none of its servers.
	MCP *MCP

	// Rules are run in order; each must permit the request. A request that passes without a token,
	// by Optional or Preflight, meets none of them.
	Rules []Rule

	// Realm is the protection space named in challenges (RFC 9110 §11.5). Default: "api".
	Realm string

	// Resource is the URL of this resource as its clients know it (RFC 8707 §2, RFC 9728 §1.2), for
	// example https://api.example.com/orders. Challenges then say where its metadata are; serve
	// [Guard.Metadata] there. Empty: they don't.
	Resource string

	// Optional admits requests without a token, without an identity. A token that is not good is
	// still refused.
	Optional bool

	// KeepAuthorization passes the token on, where it was found. The header Authorization, whatever
	// its scheme, and the other places that tokens are taken from are removed otherwise, and where
	// there was no token in them: what goes on is verified. A form is never rewritten: it goes on
	// as it came.
	KeepAuthorization bool

	// Replace, if not nil, puts a credential in the place of the token on its way to the upstream.
	// A request without a token gets none.
	Replace *Replacement

	// Preflight admits the preflight requests of CORS: OPTIONS with Origin and
	// Access-Control-Request-Method. Browsers send them without credentials; any that they do carry
	// are ignored and removed.
	Preflight bool

	// FormToken also takes the token from a form sent by POST (RFC 6750 §2.2). Forms of more than
	// 64 KiB are refused. The form of any other method counts as a second token, if it has one;
	// beside a token, a form with a content coding is refused, since nobody knows what it has.
	FormToken bool

	// InsecureQueryToken also takes the token from the query (RFC 6750 §2.3), from where it gets
	// into logs, histories and Referer headers (RFC 9700 §4.3.2). Responses are then marked as
	// private; see [Guard.Private].
	InsecureQueryToken bool

	// TokenHeaders and TokenCookies are further places from which the token is taken. A request
	// with tokens in two places is refused. They are removed like the header Authorization.
	TokenHeaders []TokenHeader
	TokenCookies []string

	// InsecureAnyOrigin admits requests with the token in a cookie that another site may have had
	// the browser send. Otherwise a method that is not safe, and an upgrade of the connection, need
	// Sec-Fetch-Site or Origin to say that they come from the same origin.
	InsecureAnyOrigin bool

	// InsecureAnyPath admits paths that an upstream could take for others: those with a dot
	// segment, a backslash or a NUL, in whatever disguise, and targets that are no path which
	// begins with one slash; and the headers X-Original-URL and X-Rewrite-URL, which are removed
	// otherwise. Which route a request met says nothing about what such an upstream serves.
	InsecureAnyPath bool

	// InsecureAnyMethod passes on the headers that make some upstreams take a request for one of
	// another method than routes, rules and DPoP proofs see, such as X-HTTP-Method-Override. They
	// are removed otherwise.
	InsecureAnyMethod bool

	// CloseStreams ends requests that outlast their token: WebSockets, server-sent events and
	// whatever else takes long. See [Guard.Bound].
	CloseStreams bool

	// Headers passes claims on as request headers. The client cannot send these headers itself; see
	// [HeaderClaim].
	Headers []HeaderClaim

	// Strip names further headers that the client must not send.
	Strip []string

	// ClientAddress returns the address that a request comes from, for tokens that are bound to
	// some; see [Limit]. nil: that of the peer.
	ClientAddress func(r *http.Request) netip.Addr

	// Received returns the method and the target of a request as the client sent it, where others
	// may have changed them before the guard: DPoP proofs are of those (RFC 9449 §4.3). nil: they
	// are those of r.
	Received func(r *http.Request) (method string, target *url.URL)

	// OverTLS reports whether the client has sent a request over TLS, which others may have taken
	// off before the guard: a page that came without TLS is of another origin than that. nil: r.TLS
	// says so.
	OverTLS func(r *http.Request) bool

	// Certificate returns the certificate of the client, or nil: see [Presentation]. nil: it is
	// that of the TLS connection.
	Certificate func(r *http.Request) (*x509.Certificate, error)

	// CertificateHeader is the header that Certificate reads, if it does: one in which TrustedProxy
	// passes on the certificate of its client (RFC 9440). From others it is removed, so that nobody
	// behind the guard takes it for more than it is; nil: from all.
	CertificateHeader string
	TrustedProxy      func(r *http.Request) bool

	// Refused, if not nil, is told by [Guard.Handler] of each request that it refuses, for a log.
	Refused func(r *http.Request, refusal *Error)

	// Rates counts the requests with tokens that are good for so many in a time. Guards that share
	// one count together. nil: one of its own.
	Rates *Rates

	once       sync.Once
	streams    streams
	sources    []string // the headers with tokens: Authorization first, then TokenHeaders
	unread     []string // those, and others that are read in one spelling alone
	forwarded  []string // those, and the headers of a certificate; nil: none of them goes on
	err        error
	names      protected
	claims     []HeaderClaim    // with canonical header names
	rules      []Rule           // those of Scope and AnyScope, then Rules
	ruleNames  []string         // for each of them
	required   Scope            // what challenges list
	implied    map[string]Scope // by scope-token: those that include it
	dpop       *DPoP            // of the verifier; nil: it takes no proofs
	challenges []Challenge      // one for each scheme by which tokens are taken
}

// Validate returns what is wrong with the configuration of the guard, or nil. Call it during setup:
// a guard that is not valid refuses every request with status 500.
func (g *Guard) Validate() error {
	g.once.Do(func() { g.err = g.prepare() })
	return g.err
}

func (g *Guard) prepare() error {
	realm := g.Realm
	if realm == "" {
		realm = "api" // RFC 6750 §3: the scheme must be followed by at least one parameter
	}
	parameters := []Parameter{{"realm", realm}}
	if g.Resource != "" {
		metadata, err := MetadataURL(g.Resource)
		if err != nil {
			return err
		}
		// RFC 9728 §5.1
		parameters = append(parameters, Parameter{"resource_metadata", metadata.String()})
	}
	g.challenges = []Challenge{{Scheme: bearer, Parameters: parameters}}
	if g.Verifier == nil {
		return errors.New("the guard has no verifier")
	}
	if v, ok := g.Verifier.(interface{ Proofs() *DPoP }); ok {
		g.takeProofs(v.Proofs(), parameters)
	}
	if g.Rates == nil {
		g.Rates = NewRates(nil)
	}
	if strings.ContainsFunc(g.Realm, func(c rune) bool { return c < ' ' || c > '~' }) {
		return fmt.Errorf("the realm %q is not printable ASCII", g.Realm)
	}
	if err := g.prepareRules(); err != nil {
		return err
	}
	return g.protect()
}

// prepareRules collects what the guard requires of a token.
func (g *Guard) prepareRules() (err error) {
	if g.implied, err = implied(g.ScopeImplies); err != nil {
		return err
	}
	for _, token := range slices.Concat(g.Scope, g.AnyScope) {
		if err := checkRequired(token); err != nil {
			return err
		}
		if !g.required.Has(token) {
			g.required = append(g.required, token)
		}
	}
	if len(g.Scope) > 0 {
		g.addRule("scope", g.requireAll)
	}
	if len(g.AnyScope) > 0 {
		g.addRule("any scope", g.requireAny)
	}
	if g.MCP != nil {
		if err := g.MCP.check(); err != nil {
			return err
		}
		g.addRule("MCP", g.requireMCP)
	}
	for i, rule := range g.Rules {
		if rule == nil {
			return fmt.Errorf("rule %d is nil", i)
		}
		g.addRule("rule "+strconv.Itoa(i+1), rule)
	}
	return nil
}

func (g *Guard) addRule(name string, rule Rule) {
	g.rules, g.ruleNames = append(g.rules, rule), append(g.ruleNames, name)
}

// takeProofs adds the challenge of RFC 9449 §7.1 to that for Bearer, or puts it in its place.
func (g *Guard) takeProofs(d *DPoP, parameters []Parameter) {
	if g.dpop = d; d == nil {
		return
	}
	if d.required {
		g.challenges = nil
	}
	parameters = append(slices.Clip(parameters), Parameter{"algs", strings.Join(algorithmNames(), " ")})
	g.challenges = append(g.challenges, Challenge{Scheme: dpop, Parameters: parameters})
}

// Admit decides about r, and changes it in place for what stands behind the guard. It returns the
// verified token, or nil for a request that may pass without one. The error is always an *[Error];
// r then has no protected header and no token left.
//
// Admit gives r a body that strips trailers at its end. So r should be a copy of the request that
// net/http made, by [http.Request.WithContext] for instance: net/http tells by its own body whether
// a client still waits for 100 Continue, and would otherwise wait for a body that never comes.
func (g *Guard) Admit(r *http.Request) (*Token, error) {
	if err := g.Validate(); err != nil {
		return nil, &Error{Status: http.StatusInternalServerError, Cause: err}
	}
	p, certificateErr := g.present(r) // which reads headers that may have to go
	g.names.strip(r, g.staying(r))
	if err := g.checkPath(r); err != nil {
		return nil, g.refuse(r, err)
	}
	if g.Preflight && isPreflight(r) {
		overrides.stripFields(r.Header)
		g.hideToken(r)
		return nil, nil
	}
	var from carrier
	err := certificateErr
	if err == nil {
		from, err = g.extract(r, &p)
	}
	if err != nil {
		return nil, g.refuse(r, err)
	}
	if p.Token == "" {
		if !g.Optional {
			return nil, g.refuse(r, noToken(r))
		}
		g.hide(r, from)
		return nil, nil
	}
	noteProof(r)
	token, err := g.Verifier.Verify(r.Context(), p)
	if err == nil {
		err = g.permit(r, token)
	}
	var credential Credential
	if err == nil {
		credential, err = g.tell(r, token, p.Token)
	}
	if err != nil {
		refusal := g.refuse(r, err)
		if token != nil {
			refusal.Token = token
		}
		return nil, refusal
	}
	g.hide(r, from)
	if g.Replace != nil {
		g.Replace.put(r, credential)
	}
	return token, nil
}

// isPreflight recognises the preflight request of the Fetch standard, §4.8. It asks for no other
// protocol, by which whoever sends it would have a connection to the upstream.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != "" && len(r.Header["Upgrade"]) == 0
}

// OfferNonce adds the nonce for the next proof to the answer to a request with a proof, where
// proofs need one (RFC 9449 §8.2). Call it before [Guard.Admit], which removes the proof.
func (g *Guard) OfferNonce(h http.Header, r *http.Request) {
	if len(r.Header[proofHeader]) > 0 && g.Validate() == nil {
		g.dpop.Offer(h)
	}
}

// Handler passes to next what [Guard.Admit] admits, with the token in the request's context. It
// answers all other requests itself, with [Error.Body] in JSON, and without reading their bodies
// unless FormToken is set; see [AnswerEarly].
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w = g.Private(w, r)
		g.OfferNonce(w.Header(), r)
		ctx := &tokenContext{Context: r.Context()}
		r = r.WithContext(ctx)
		token, err := g.Admit(r)
		if err != nil {
			AnswerEarly(w, r)
			g.answer(w, r, err)
			return
		}
		ctx.token = token
		w, r, release := g.Bound(w, r, token)
		defer release()
		next.ServeHTTP(w, r)
	})
}
