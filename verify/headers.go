package verify

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// reserved headers frame the message, belong to one connection, or say where the request goes: they
// can be neither set from a claim nor stripped.
var reserved = []string{"Authorization", "Connection", "Content-Length", "Content-Type", "Expect", "Host",
	"HTTP2-Settings", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"}

// methodHeaders make some upstreams take a request for one of another method, and pathHeaders for
// one of another path.
var (
	methodHeaders = []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"}
	pathHeaders   = []string{"X-Original-URL", "X-Rewrite-URL"}

	overrides = mustProtect(methodHeaders...) // that would make a preflight request another one

	// credentials belong into the header of a request (RFC 9110 §6.5.1). Nobody has looked at those
	// in a trailer, and some put both together.
	credentials = mustProtect("Authorization", "Cookie", proofHeader)
)

// replaced checks Replace, and protects the header that it sets, if it does.
func (g *Guard) replaced() (taken protected, err error) {
	switch p := g.Replace; {
	case p == nil:
	case g.KeepAuthorization:
		err = errors.New("the token is either kept or replaced")
	default:
		if err = p.check(); err == nil && p.In == InHeader {
			err = errors.Join(g.names.add(p.Name), taken.add(p.Name))
		}
	}
	return taken, err
}

// protect checks the headers that the guard sets, strips and reads tokens from, and protects them.
func (g *Guard) protect() error {
	framing := mustProtect(reserved...)
	for _, name := range g.Strip {
		if framing.has(name) {
			return fmt.Errorf("the header %s can't be stripped: the message or its connection needs it, or the token is in it", name)
		}
		if err := g.names.add(name); err != nil {
			return err
		}
	}
	if err := g.protectSources(framing); err != nil {
		return err
	}
	if err := g.protectClaims(framing); err != nil {
		return err
	}
	g.unread = g.sources
	names := []string{"Authorization", "HTTP2-Settings"}
	if g.MCP != nil {
		g.unread = slices.Concat(g.unread, mcpHeaders)
		names = slices.Concat(names, mcpHeaders, methodHeaders)
	}
	if !g.InsecureAnyMethod {
		names = slices.Concat(names, methodHeaders)
	}
	if !g.InsecureAnyPath {
		names = slices.Concat(names, pathHeaders)
	}
	for _, name := range names {
		if err := g.names.add(name); err != nil {
			return err
		}
	}
	return g.protectCertificate(framing)
}

// protectCertificate protects the header with the certificate of a client, and that with the chain
// of it (RFC 9440 §2.3). Both stay if a proxy that is trusted has sent them, unless something else
// removes them.
func (g *Guard) protectCertificate(framing *protected) error {
	name := g.CertificateHeader
	switch {
	case name == "":
		return nil
	case framing.has(name) || slices.ContainsFunc(slices.Concat(g.unread, []string{"Cookie"}), func(other string) bool { return fold(other) == fold(name) }):
		return fmt.Errorf("no certificate can be taken from the header %s: it has another use", name)
	}
	g.forwarded = slices.Clone(g.unread)
	for _, name := range []string{name, name + "-Chain"} {
		if !g.names.has(name) {
			g.forwarded = append(g.forwarded, http.CanonicalHeaderKey(name))
		}
		if err := g.names.add(name); err != nil {
			return err
		}
	}
	return nil
}

// staying returns the protected headers that stay in r for now.
func (g *Guard) staying(r *http.Request) []string {
	if g.forwarded != nil && g.TrustedProxy != nil && g.TrustedProxy(r) {
		return g.forwarded
	}
	return g.unread
}

// protectClaims checks the headers that claims are written to, and protects them.
func (g *Guard) protectClaims(framing *protected) error {
	taken, err := g.replaced()
	if err != nil {
		return err
	}
	for _, c := range g.Headers {
		if framing.has(c.Header) {
			return fmt.Errorf("the header %s can't be set from a claim: it is not for applications; take one such as X-User-Id", c.Header)
		}
		if taken.has(c.Header) {
			return fmt.Errorf("the header %s is set twice; names that differ in case, _ or - alone are one to many upstreams", c.Header)
		}
		if slices.ContainsFunc(g.TokenHeaders, func(t TokenHeader) bool { return fold(t.Name) == fold(c.Header) }) {
			return fmt.Errorf("the header %s has two uses: one is to carry the token", c.Header)
		}
		if err := c.check(); err != nil {
			return err
		}
		for _, names := range []*protected{&g.names, &taken} {
			if err := names.add(c.Header); err != nil {
				return err
			}
		}
		c.Header, c.Claim = http.CanonicalHeaderKey(c.Header), slices.Clone(c.Claim)
		g.claims = append(g.claims, c)
	}
	return nil
}

// strip removes the protected names from a request, wherever it can carry them: as headers; as
// names in Connection, for which a proxy would drop what the guard sets (RFC 9110 §7.6.1); as
// declared trailers; and as undeclared trailers at the end of the body. It also removes the offer
// to upgrade to HTTP/2: if a proxy passed it on, later requests on the connection would bypass the
// guard.
//
// The headers of unread stay, since they have yet to be read; other spellings of their names go.
func (p *protected) strip(r *http.Request, unread []string) {
	lists := false // there are headers with names of others: most requests have none
	for name := range r.Header {
		switch {
		case name == "Connection" || name == "Trailer" || name == "Upgrade":
			lists = true
		case p.has(name) && !slices.Contains(unread, name):
			delete(r.Header, name)
		}
	}
	if lists {
		p.stripLists(r.Header)
	}
	p.stripTrailer(r.Trailer)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &trailerBody{countedBody: countedBody{ReadCloser: r.Body, left: r.ContentLength}, request: r, names: p}
	}
}

// stripFields removes the protected names from a header or trailer.
func (p *protected) stripFields(h http.Header) {
	for name := range h {
		if p.has(name) {
			delete(h, name)
		}
	}
}

// stripTrailer removes the protected names, and credentials, from a trailer.
func (p *protected) stripTrailer(h http.Header) {
	p.stripFields(h)
	credentials.stripFields(h)
}

// stripLists removes the protected names, and the upgrade to HTTP/2, from the headers that list
// names of others.
func (p *protected) stripLists(h http.Header) {
	filterList(h, "Connection", p.has)
	filterList(h, "Trailer", func(name string) bool { return p.has(name) || credentials.has(name) })
	if filterList(h, "Upgrade", isHTTP2) && len(h["Upgrade"]) == 0 {
		filterList(h, "Connection", func(name string) bool { return strings.EqualFold(name, "Upgrade") })
	}
}

// isHTTP2 reports whether protocol, from the header Upgrade, leads to HTTP/2 (RFC 7540 §3.2), with
// or without a version.
func isHTTP2(protocol string) bool {
	name, _, _ := strings.Cut(protocol, "/")
	return strings.EqualFold(name, "h2c") || strings.EqualFold(name, "h2")
}

// filterList drops members of a comma-separated header, and the header if none is left. It reports
// whether it has dropped any.
func filterList(h http.Header, field string, drop func(string) bool) bool {
	lines, dropped := h[field], false
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			dropped = dropped || drop(strings.Trim(member, " \t"))
		}
	}
	if !dropped {
		return false
	}
	var kept []string
	for _, line := range lines {
		kept = slices.AppendSeq(kept, strings.SplitSeq(line, ","))
	}
	for i, member := range kept {
		kept[i] = strings.Trim(member, " \t")
	}
	kept = slices.DeleteFunc(kept, func(member string) bool { return member == "" || drop(member) })
	if len(kept) == 0 {
		delete(h, field)
	} else {
		h[field] = []string{strings.Join(kept, ", ")}
	}
	return true
}

// trailerBody strips the trailers that net/http adds to the request when its body ends (RFC 9112
// §7.1.2).
type trailerBody struct {
	countedBody
	request *http.Request
	names   *protected
	mu      sync.Mutex // a transport may close the body while another goroutine reads it
}

func (b *trailerBody) Read(p []byte) (int, error) {
	n, err := b.countedBody.Read(p)
	if err != nil {
		b.strip()
	}
	return n, err
}

// Close strips as well, because closing an HTTP/1 body reads it to its end. In HTTP/2 only reading
// adds trailers.
func (b *trailerBody) Close() error {
	err := b.ReadCloser.Close()
	if b.request.ProtoMajor == 1 {
		b.strip()
	}
	return err
}

func (b *trailerBody) strip() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names.stripTrailer(b.request.Trailer)
}
