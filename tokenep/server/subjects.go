package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
)

// subjects returns the two grants for tokens of others: token exchange, which is also for those of
// this server, and JWT bearer.
func (s *Server) subjects() (exchange grant.TokenExchange, bearer grant.JWTBearer, err error) {
	if err := s.checkSubjects(); err != nil {
		return exchange, bearer, err
	}
	f := subject.Foreign{Audience: s.assertionAudience, Now: s.Config.Now, Seen: state.Seen{Store: s.Config.Store, Now: s.Config.Now}}
	s.foreign = make(map[subject.Form]subject.Foreign)
	for _, form := range forms {
		if f.Verifier, err = s.trustOthers(form); err != nil {
			return exchange, bearer, err
		}
		f.Form = form
		s.foreign[form] = f
	}
	foreign := s.kinds(grant.TokenExchangeType)
	if s.Config.Exchange.Enabled || len(foreign.All) > 0 {
		exchange = grant.TokenExchange{
			Issuer: s.Config.Issuer, Subjects: append(s.ownSubjects(), foreign.All...),
			AllowAnonymous: s.Config.Exchange.Anonymous, AnonymousTypes: foreign.Anonymous,
			EndsReused: s.endsReused(), MaxChain: s.Config.Exchange.MaxChain,
			Refreshes: s.Config.refreshesExchanged(), Families: s.Families,
		}
		if s.Config.openID() {
			exchange.IDTokens = func(c *tokenep.Client) bool { return s.idTokenKeys[c.IDTokenAlgorithm()] != nil }
		}
	}
	assertions := s.kinds(grant.JWTBearerType)
	return exchange, grant.JWTBearer{Assertions: assertions.All, AllowAnonymous: len(assertions.Anonymous) > 0}, nil
}

// refreshesExchanged reports whether refresh tokens come of exchanges.
func (c *Config) refreshesExchanged() bool {
	return slices.ContainsFunc(c.Subjects, func(source *subject.Source) bool {
		return slices.ContainsFunc(source.Policies, func(p subject.Policy) bool { return p.RefreshToken })
	})
}

// exchanged holds what a refresh token that came of an exchange allows to the policies by which it
// did, and to the end of the chain of exchanges. It is not good if one of these is gone, or a key
// by which one of the tokens was signed that it came of.
func (s *Server) exchanged(ctx context.Context, c *tokenep.Client, a *tokenep.Authorization) error {
	refused := func(err error) error {
		return tokenep.InvalidGrant.Describe("the refresh token is not valid any more").Because(err)
	}
	for _, ancestor := range a.Ancestors {
		if ancestor.KeyID == "" {
			continue
		}
		if has, err := s.Keys.HasKey(ctx, ancestor.KeyID); err != nil {
			return err
		} else if !has {
			return refused(fmt.Errorf("it came of a token that was signed by the key %q, which is gone", ancestor.KeyID))
		}
	}
	if a.ChainIssuedAt.Before(s.chainsSince().Truncate(time.Second)) {
		return refused(errors.New("it is older than max_chain, which may have been shorter when something that it came of was revoked"))
	}
	if end := a.ChainIssuedAt.Add(s.Config.Exchange.MaxChain); end.Before(a.NotAfter) {
		a.NotAfter = end
	}
	if err := s.policiesAgain(c, a); err != nil {
		return refused(err)
	}
	return nil
}

// policiesAgain asks the policies for the subject and for its actor again, and those of the client.
func (s *Server) policiesAgain(c *tokenep.Client, a *tokenep.Authorization) error {
	ask := func(grantID string, refresh func(*subject.Policy, *tokenep.Client, *tokenep.Authorization, time.Time) error) error {
		for _, source := range s.Config.Subjects {
			for i := range source.Policies {
				if p := &source.Policies[i]; tokenep.PolicyGrantPrefix+p.Name == grantID {
					if err := refresh(p, c, a, s.Config.Now()); err != nil {
						return fmt.Errorf("policy %s: %w", p.Name, err)
					}
					return nil
				}
			}
		}
		return fmt.Errorf("%s is gone", grantID)
	}
	if err := ask(a.GrantID, (*subject.Policy).Refresh); err != nil {
		return err
	}
	if a.Acting != nil && isPolicy(a.Acting.GrantID) {
		if err := ask(a.Acting.GrantID, (*subject.Policy).RefreshActor); err != nil {
			return err
		}
	}
	return grant.TokenExchange{Issuer: s.Config.Issuer}.StillActs(c, a)
}

// forms are the forms of tokens of others, in the order in which they are asked: what a token says
// that it is, for those that say it, and then any.
var forms = [...]subject.Form{subject.FormIDJAG, subject.FormSPIFFE, subject.FormOther}

// kinds returns the kinds of token of others for a grant.
func (s *Server) kinds(grantType string) (all subject.Kinds) {
	for _, form := range forms {
		f := s.foreign[form]
		f.GrantType = grantType
		k := subject.KindsOf(s.Config.Subjects, f)
		all.All, all.Anonymous = append(all.All, k.All...), append(all.Anonymous, k.Anonymous...)
	}
	return all
}

// TryPolicies returns what the policies for tokens of others make of one, check by check, if a
// client, or nobody, sent it for a grant. Nothing is issued or spent. Without a token type it is
// the one that the sources take; the error names them if there are several.
func (s *Server) TryPolicies(ctx context.Context, grantType, clientID, token, tokenType string) ([]*subject.Trial, error) {
	sent := subject.Sent{Token: token, TokenType: tokenType}
	if clientID != "" {
		var err error
		if sent.Client, err = s.front.Authenticator.Clients(ctx, clientID); err != nil {
			return nil, err
		}
		if !sent.Client.May(grantType) {
			return nil, ErrNoGrant
		}
	}
	parsed, _ := verify.ParseAssertion(token)
	if parsed != nil && parsed.Claims().Issuer == s.Config.Issuer {
		return nil, ErrOwnToken
	}
	if parsed != nil && tokenType == "" {
		sent.TokenType = grant.JWTType
	}
	if grantType == grant.JWTBearerType {
		sent.TokenType = ""
	} else if sent.TokenType == "" {
		if types := s.opaqueTypes(); len(types) > 1 {
			return nil, fmt.Errorf("%w: %s", ErrTokenType, strings.Join(types, ", "))
		}
	}
	for _, form := range forms {
		if form == subject.FormIDJAG && grantType != grant.JWTBearerType {
			continue
		}
		f := s.foreign[form]
		f.GrantType, f.Narrow = grantType, s.pipeline(new(tokenep.Dialect)).Narrow
		if trials := f.Try(ctx, s.Config.Subjects, sent); len(trials) > 0 {
			return trials, nil
		}
	}
	return nil, nil
}

// The errors of TryPolicies.
var (
	ErrNoGrant   = errors.New("the client may not use this grant: it is not among its grants")
	ErrOwnToken  = errors.New("the token is one of this server, which no policy is asked about")
	ErrTokenType = errors.New("the token type must be said, since there are sources for several")
)

// opaqueTypes returns the token type identifiers of what is no JWT of an issuer.
func (s *Server) opaqueTypes() (types []string) {
	for _, source := range s.Config.Subjects {
		for _, t := range source.Types {
			if !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
	}
	return types
}

// assertionAudience returns the names of this server in tokens that others issue for it: the issuer
// and the URLs of the token endpoint (RFC 7523 §3).
func (s *Server) assertionAudience() []string {
	return append([]string{s.Config.Issuer}, s.tokenEndpoints()...)
}

// checkSubjects returns what is wrong with the sources of others' tokens, and with their policies.
func (s *Server) checkSubjects() error {
	var policies []string
	for _, source := range s.Config.Subjects {
		if err := source.Validate(); err != nil {
			return err
		}
		if source.Issuer != nil && source.Issuer.Name == s.Config.Issuer {
			return fmt.Errorf("issuer %s: it is this server, whose tokens can be exchanged without a policy", s.Config.Issuer)
		}
		for i := range source.Policies {
			name := source.Policies[i].Name
			if slices.Contains(policies, name) {
				return fmt.Errorf("policy %s is given twice", name)
			}
			policies = append(policies, name)
			if source.Policies[i].RefreshToken && s.Config.Exchange.MaxChain == 0 {
				return fmt.Errorf("policy %s: refresh_token needs max_chain in token_exchange: how long after the first token the last one may be good", name)
			}
		}
	}
	return nil
}

// trustOthers returns the verifier of the JWTs of one form; nil: there are none. An issuer without
// an audience has that of this server. For ID-JAGs that is the issuer alone; for others it is
// compared later, since where the token endpoint is mounted is not known yet.
func (s *Server) trustOthers(form subject.Form) (*verify.Verifier, error) {
	var issuers []verify.TrustedIssuer
	for _, source := range s.Config.Subjects {
		if source.Issuer == nil || source.Form() != form {
			continue
		}
		issuer := *source.Issuer
		if form == subject.FormIDJAG {
			issuer = source.IDJAG.Trust(issuer, s.Config.Issuer)
		}
		issuer.InsecureAnyAudience = len(issuer.Audience) == 0
		issuer.InsecureAnyConfirmation = true // see subject.Foreign
		issuers = append(issuers, issuer)
	}
	if len(issuers) == 0 {
		return nil, nil
	}
	return verify.New(verify.Config{Issuers: issuers, SPIFFE: form == subject.FormSPIFFE, Cache: s.Config.Memory.Cache, Leeway: subject.Leeway, Now: s.Config.Now})
}
