package subject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// IDJAGs is the identity assertion authorization grants of configured issuers
// (draft-ietf-oauth-identity-assertion-authz-grant): assertions for the grant of RFC 7523 §2.1, by
// which an enterprise's identity provider lets a client have an access token for a user. An issuer
// whose other assertions are accepted is not trusted with these.
type IDJAGs struct{ *Foreign }

// IDJAG are the rules for the ID-JAGs of a source. The zero value is strict.
type IDJAG struct {
	MaxLife time.Duration // from iat to exp; 0 stands for 5 min

	// AllowReplay lets a client use one again while it is good, as the draft does. Otherwise its
	// jti is good once.
	AllowReplay bool

	// Clients are the client_ids of the issuer for clients that are registered here by another one.
	Clients map[string]string

	// Resource is the audience of the access token where the assertion names no resource, as those
	// of some issuers. None: such an assertion is refused.
	Resource []string
}

// The type of an ID-JAG, and how long it may live by default.
const (
	IDJAGType        = "oauth-id-jag+jwt"
	defaultIDJAGLife = 5 * time.Minute
)

// IDJAGProfile is the value of authorization_grant_profiles_supported that says that ID-JAGs are
// accepted.
const IDJAGProfile = "urn:ietf:params:oauth:grant-profile:id-jag"

// Trust returns what a verifier needs to know of an issuer of ID-JAGs: strict but for their typ,
// and with all claims that they must have. Without an audience they are for this one.
func (*IDJAG) Trust(i verify.TrustedIssuer, audience string) verify.TrustedIssuer {
	i.Profile, i.Types = verify.ProfileRFC9068, []string{IDJAGType}
	i.RequireClaims = append([]string{"sub", "client_id", "jti", "iat"}, i.RequireClaims...)
	if len(i.Algorithms) == 0 {
		i.Algorithms = []string{"RS256", "ES256"}
	}
	if len(i.Audience) == 0 {
		i.Audience = []string{audience}
	}
	return i
}

// Types returns none: an ID-JAG is no subject token.
func (IDJAGs) Types() []string { return nil }

// The faults of an ID-JAG, beside those that the verifier finds.
var (
	errIDJAGType     = errors.New("typ is not " + IDJAGType)
	errIDJAGAudience = errors.New("aud must be this server alone")
	errIDJAGClient   = errors.New("the client_id of the assertion is that of another client")
	errIDJAGLife     = errors.New("it lives longer than is accepted")
	errIDJAGResource = errors.New("the assertion names no resource, and there is none by default")
	errIDJAGTarget   = errors.New("resource is not within the audience of the policy")
	errIDJAGDetails  = errors.New("authorization_details are not supported")
)

// Validate verifies the assertion in the order of the draft, and asks the policies for its issuer.
func (j IDJAGs) Validate(ctx context.Context, r *tokenep.Request, token string) (*tokenep.Authorization, error) {
	refused := func(err error) error {
		return tokenep.InvalidRequest.Describe("the assertion is not accepted").Because(err)
	}
	parsed, err := verify.ParseAssertion(token)
	if err != nil || parsed.Claims().Header.Type != IDJAGType {
		return nil, tokenep.OtherKind(tokenep.InvalidRequest.Describe("the assertion is not accepted").Because(errors.Join(errIDJAGType, err)))
	}
	t, err := j.Verifier.Verify(ctx, verify.Presentation{Token: token})
	if err != nil {
		return nil, refusal(err)
	}
	s := j.Issuers[t.Issuer]
	if s == nil {
		return nil, refused(errOtherGrant)
	}
	if err := s.IDJAG.check(r.Client, t, j.Now()); err != nil {
		return nil, refused(err)
	}
	a, err := j.choose(ctx, r, s, t)
	if err != nil {
		return nil, err
	}
	if err := s.IDJAG.narrow(t, a); err != nil {
		return nil, refused(err)
	}
	return a, nil
}

// narrow takes from what a policy lets be issued whatever the assertion does not name.
func (x *IDJAG) narrow(t *verify.Token, a *tokenep.Authorization) (err error) {
	if a.Audience, err = x.audience(t, a.Audience); err != nil {
		return err
	}
	a.ScopeCommon = true
	if t.Claims["scope"] != nil {
		a.Scope = a.Scope.Intersect(t.Scope)
	}
	a.SignIn = signIn(t)
	return nil
}

// check holds a good assertion to the draft.
func (x *IDJAG) check(c *tokenep.Client, t *verify.Token, now time.Time) error {
	life := x.MaxLife
	if life == 0 {
		life = defaultIDJAGLife
	}
	id := t.ClientID
	if alias := x.Clients[id]; alias != "" {
		id = alias
	}
	switch {
	case c == nil || id != c.ID:
		return fmt.Errorf("%w: %.100q", errIDJAGClient, t.ClientID)
	case len(t.Audience) != 1:
		return fmt.Errorf("%w, and is %.200q", errIDJAGAudience, t.Audience)
	case t.Expires.Sub(t.IssuedAt) > life || t.Expires.After(now.Add(life+Leeway)):
		return fmt.Errorf("%w: %s is the most", errIDJAGLife, life)
	case t.Claims["authorization_details"] != nil:
		return errIDJAGDetails
	}
	return nil
}

// audience returns what the access token may be for: the resources of the assertion, which are all
// among those of the policy. It is never everything.
func (x *IDJAG) audience(t *verify.Token, policy []string) ([]string, error) {
	var resources []string
	switch resource := t.Claims["resource"].(type) {
	case nil:
		resources = x.Resource
	case string:
		resources = []string{resource}
	case []any:
		for i := range resource {
			name, ok := resource[i].(string)
			if !ok {
				return nil, errIDJAGTarget
			}
			resources = append(resources, name)
		}
	default:
		return nil, errIDJAGTarget
	}
	if len(resources) == 0 {
		return nil, errIDJAGResource
	}
	for _, name := range resources {
		if name == "" || !slices.Contains(policy, name) {
			return nil, fmt.Errorf("%w: %.200q, of %q", errIDJAGTarget, name, policy)
		}
	}
	return resources, nil
}

// signIn returns how and when the user signed in at the issuer, as far as the token says.
func signIn(t *verify.Token) (s state.SignIn) {
	if n, ok := t.Claims["auth_time"].(json.Number); ok {
		if at, err := n.Int64(); err == nil && at > 0 {
			s.Time = time.Unix(at, 0).UTC()
		}
	}
	s.Class, _ = t.Claims["acr"].(string)
	methods, _ := t.Claims["amr"].([]any)
	for i := range methods {
		if method, ok := methods[i].(string); ok && method != "" {
			s.Methods = append(s.Methods, method)
		}
	}
	return s
}
