package server

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
)

// subjectLeeway is what the clocks of other issuers and of this server may differ by.
const subjectLeeway = 30 * time.Second

// subjects returns the two grants for tokens of others: token exchange, which is also for those of
// this server, and JWT bearer.
func (s *Server) subjects() (exchange grant.TokenExchange, bearer grant.JWTBearer, err error) {
	verifier, err := s.trustOthers()
	if err != nil {
		return exchange, bearer, err
	}
	kinds := func(grantType string) subject.Kinds {
		return subject.KindsOf(s.Config.Subjects, subject.Foreign{
			GrantType: grantType, Verifier: verifier, Audience: s.assertionAudience, Now: s.Config.Now,
			Seen: state.Seen{Store: s.Config.Store, Now: s.Config.Now},
		})
	}
	foreign := kinds(grant.TokenExchangeType)
	if s.Config.Exchange.Enabled || len(foreign.All) > 0 {
		exchange = grant.TokenExchange{
			Issuer: s.Config.Issuer, Subjects: append(s.ownSubjects(), foreign.All...),
			AllowAnonymous: s.Config.Exchange.Anonymous, AnonymousTypes: foreign.Anonymous,
			EndsReused: s.endsReused(), MaxChain: s.Config.Exchange.MaxChain,
		}
	}
	assertions := kinds(grant.JWTBearerType)
	bearer = grant.JWTBearer{Assertions: assertions.All, AllowAnonymous: len(assertions.Anonymous) > 0}
	return exchange, bearer, nil
}

// assertionAudience returns the names of this server in tokens that others issue for it: the issuer
// and the URLs of the token endpoint (RFC 7523 §3).
func (s *Server) assertionAudience() []string {
	return append([]string{s.Config.Issuer}, s.tokenEndpoints()...)
}

// trustOthers returns the verifier of the JWTs of all other issuers; nil: there are none. An issuer
// without an audience has that of this server, which is compared later: where the token endpoint is
// mounted is not known yet.
func (s *Server) trustOthers() (*verify.Verifier, error) {
	var issuers []verify.TrustedIssuer
	for _, source := range s.Config.Subjects {
		if err := source.Validate(); err != nil {
			return nil, err
		}
		if source.Issuer == nil {
			continue
		}
		issuer := *source.Issuer
		if issuer.Name == s.Config.Issuer {
			return nil, fmt.Errorf("issuer %s: it is this server, whose tokens can be exchanged without a policy", issuer.Name)
		}
		issuer.InsecureAnyAudience = len(issuer.Audience) == 0
		issuers = append(issuers, issuer)
	}
	var policies []string
	for _, source := range s.Config.Subjects {
		for i := range source.Policies {
			name := source.Policies[i].Name
			if slices.Contains(policies, name) {
				return nil, fmt.Errorf("policy %s is given twice", name)
			}
			policies = append(policies, name)
		}
	}
	if len(issuers) == 0 {
		return nil, nil
	}
	verifier, err := verify.New(verify.Config{Issuers: issuers, Cache: s.Config.Memory.Cache, Leeway: subjectLeeway, Now: s.Config.Now})
	if err != nil {
		return nil, errors.Join(errors.New("subjects"), err)
	}
	return verifier, nil
}
