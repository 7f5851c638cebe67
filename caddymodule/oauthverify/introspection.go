package oauthverify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/internal/remote"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/introspection"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// Introspection is how an issuer is asked about its tokens (RFC 7662). Its answers are remembered,
// for all routes that ask it in the same way; what a route requires is checked on each request.
// While the issuer does not answer, the answer is 503. Credentials that servers of this process
// have issued are not shown to it.
type Introspection struct {
	remote.Introspection
	remote.Asked

	// Ask for signed answers (RFC 9701), and believe no other. The keys are those of the issuer.
	// Default: false, the answers are those of whoever has the certificate of the endpoint.
	Signed bool `json:"signed,omitempty"`

	key any // of what is held in the pool; nil: nothing
}

// parseIntrospection reads how the issuer is asked. Syntax:
//
//	introspection <url> {
//	    signed
//	    <options of remote.Introspection>
//	    <options of remote.Asked>
//	}
func (i *Issuer) parseIntrospection(d *caddyfile.Dispenser) error {
	n := new(Introspection)
	if err := n.ParseURL(d); err != nil {
		return err
	}
	i.Introspection = n
	block := *d // stays at the beginning of the block
	err := adapt.Block(d, func(option string) error {
		if option == "signed" {
			return adapt.Flag(d, &n.Signed)
		}
		line := *d
		known, err := n.Introspection.ParseOption(d, option)
		if !known {
			known, err = n.Asked.ParseOption(d, option)
		}
		switch {
		case err != nil:
			return err
		case !known:
			return adapt.Unknown(d)
		}
		return adapt.Located(&line, cmp.Or(n.Connection.Options().Validate(), n.Answers().Validate()))
	})
	if err == nil {
		err = n.options(n.Literal()).Validate()
		if err != nil {
			return block.Errf("introspection %s: %w", verify.ShownURL(n.URL), err)
		}
	}
	return err
}

// options returns the options over those of the endpoint.
func (n *Introspection) options(endpoint introspection.Options) introspection.Options {
	endpoint.Connection, endpoint.Answers = n.Connection.Options(), n.Answers()
	return endpoint
}

// checkAsked returns an error if two issuers are asked about tokens.
func checkAsked(issuers []*Issuer) error {
	asked := ""
	for _, i := range issuers {
		switch {
		case i == nil || i.Introspection == nil:
		case asked != "":
			return fmt.Errorf("issuers %s and %s have introspection: an opaque token does not say whose it is, so that one of a route can", asked, i.Issuer)
		default:
			asked = i.Issuer
		}
	}
	return nil
}

// introspectionKey tells apart what is shared in the pool: all that is configured, with its
// placeholders resolved.
type introspectionKey [sha256.Size]byte

// sharedIntrospection has what an issuer has said of tokens.
type sharedIntrospection struct{ *introspection.Server }

// Destruct closes connections that wait for another request.
func (s sharedIntrospection) Destruct() error {
	s.Close()
	return nil
}

// provision returns what asks the issuer. It makes no request. keys is how the keys of the issuer
// are configured.
func (n *Introspection) provision(ctx caddy.Context, issuer *verify.TrustedIssuer, keys any) (verify.Introspector, error) {
	endpoint, err := n.Introspection.Resolve(adapt.Warnings(ctx, "issuer", issuer.Name))
	if err != nil {
		return nil, err
	}
	o := n.options(endpoint)
	o.Issuer = issuer.Name
	if n.Signed {
		o.SignedBy, o.Algorithms = issuer.Keys, issuer.Algorithms
	}
	if o.Connection, err = n.Asked.Resolve("introspection", o.URL); err != nil {
		return nil, err
	}
	turns := tokenep.NewTokenQueue(cmp.Or(o.Connection.Requests, outbound.DefaultRequests))
	o.Turn = func(ctx context.Context) (func(), error) { return turns.Take(ctx, tokenep.Network(clientAddress(ctx))) }
	resolved := *n
	resolved.URL, resolved.ClientID, resolved.ClientSecret = o.URL, o.ClientID, o.ClientSecret
	sum, err := configured(n.CA, issuer.Name, keys, &resolved)
	if err != nil {
		return nil, err
	}
	key := introspectionKey(sum)
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		server, err := introspection.New(o)
		return sharedIntrospection{server}, err
	})
	if err != nil {
		return nil, fmt.Errorf("introspection %s: %w", verify.ShownURL(n.URL), err)
	}
	n.key = key
	if n.InsecureHTTP {
		adapt.Warnings(ctx, "issuer", issuer.Name).Warn("insecure_http: tokens and a secret cross the network in clear on the way to the introspection endpoint",
			"url", verify.ShownURL(o.URL))
	}
	return withhold(ctx, value.(sharedIntrospection).Introspect), nil
}

// release gives back what is shared, once.
func (n *Introspection) release() error {
	if n.key == nil {
		return nil
	}
	key := n.key
	n.key = nil
	_, err := pool.Delete(key)
	return err
}

// clientAddress returns the address of the client whose request the context is that of.
func clientAddress(ctx context.Context) netip.Addr {
	text, _ := caddyhttp.GetVar(ctx, caddyhttp.ClientIPVarKey).(string)
	address, _ := netip.ParseAddr(text)
	return address
}

var errOurs = fmt.Errorf("%w: it looks like a credential of a server of this process, which is shown to nobody else", verify.ErrBadToken)

// withhold keeps the credentials of the servers of this process from whoever is asked.
func withhold(ctx caddy.Context, ask verify.Introspector) verify.Introspector {
	own := oauthserver.Issuers(ctx)
	return func(ctx context.Context, token string) (*verify.Token, error) {
		if state.IsAPIToken(token) || state.IsRefreshToken(token) || own[verify.UnverifiedIssuer(token)] != nil {
			return nil, errOurs
		}
		return ask(ctx, token)
	}
}
