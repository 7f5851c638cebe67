package policy

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/tokenep/caddy-tokenep/verify"
)

// The variables of a rule beside claims. They are variables with a dot in their names, and not
// members of one: a name that is misspelt is an error when the rule is compiled.
const (
	requestVariables = "request."

	methodVariable  = "request.method"
	pathVariable    = "request.path"
	hostVariable    = "request.host"
	addressVariable = "request.address"
	headersVariable = "request.headers"
)

// ruleEnvironment is environment with the request, and with functions for its address.
var ruleEnvironment = func() *cel.Env {
	env, err := environment.Extend(
		cel.Variable(methodVariable, cel.StringType),
		cel.Variable(pathVariable, cel.StringType),
		cel.Variable(hostVariable, cel.StringType),
		cel.Variable(addressVariable, cel.StringType),
		cel.Variable(headersVariable, cel.MapType(cel.StringType, cel.StringType)),
		ext.Network(), // ip, cidr and their like
	)
	if err != nil {
		panic(err) // the options are constants
	}
	return env
}()

// NewRule compiles a condition over the claims of a token and the request that came with it, as a
// rule of a [verify.Guard]. Beside claims it sees
//
//	request.method   "GET"
//	request.path     "/orders/17", decoded, as the guard gets it
//	request.host     "api.example.com", in lower case, without port and without a dot at its end
//	request.address  "192.0.2.7", as clientAddress says; "" where that is not known
//	request.headers  "acme" for request.headers["X-Tenant"], in any case of the name
//
// and the functions ip and cidr, such as cidr("10.0.0.0/8").containsIP(request.address). Several
// lines of a header are one text, with ", " between them (RFC 9110 §5.3).
//
// A request for which the condition does not hold, or fails, is refused with 403 access_denied: no
// scope would help. Which rule it was is for the log. A nil clientAddress stands for the peer.
func NewRule(text string, clientAddress func(*http.Request) netip.Addr) (verify.Rule, error) {
	e, err := compile(ruleEnvironment, text, cel.BoolType)
	if err != nil {
		return nil, err
	}
	return func(r *http.Request, t *verify.Token) error {
		holds, err := e.holds(&ruleActivation{t.Claims, r, clientAddress})
		switch {
		case err != nil:
			return refused(err)
		case !holds:
			return refused(fmt.Errorf("this does not hold: %s", text))
		}
		return nil
	}, nil
}

// RuleClaims returns the names of the claims without which a rule fails, where it looks at them:
// those that it names, but for those of which it asks whether they are there, as has(claims.role).
// One that it names twice is there twice. The error is that of a text that is no rule, as of
// [NewRule].
func RuleClaims(text string) ([]string, error) {
	e, err := compile(ruleEnvironment, text, cel.BoolType)
	return slices.DeleteFunc(e.claims, func(name string) bool { return slices.Contains(e.asked, name) }), err
}

// refused is the refusal of a good token by a rule (RFC 9110 §15.5.4).
func refused(cause error) *verify.Error {
	return &verify.Error{Status: http.StatusForbidden, Code: verify.AccessDenied, Scope: verify.Scope{},
		Description: "the access token does not permit this request", Cause: cause}
}

// ruleActivation is the variables of one run of a rule.
type ruleActivation struct {
	claims        map[string]any
	request       *http.Request
	clientAddress func(*http.Request) netip.Addr
}

func (a *ruleActivation) ResolveName(name string) (any, bool) {
	switch name {
	case claimsVariable:
		return a.claims, true
	case methodVariable:
		return types.String(a.request.Method), true
	case pathVariable:
		return types.String(a.request.URL.Path), true
	case hostVariable:
		return types.String(hostOf(a.request)), true
	case addressVariable:
		return types.String(a.address()), true
	case headersVariable:
		return headers(a.request.Header), true
	}
	return nil, false
}

func (*ruleActivation) Parent() cel.Activation { return nil }

// hostOf returns the host that a client asked for: for https://[::1]:8443 it is "::1". The dot at
// the end of a name that is absolute (RFC 1034 §3.1) makes no other host of it.
func hostOf(r *http.Request) string {
	host := strings.ToLower(r.Host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), ".")
}

// address returns the address of the client without zone; "": it is not known.
func (a *ruleActivation) address() string {
	var address netip.Addr
	if a.clientAddress != nil {
		address = a.clientAddress(a.request)
	} else if peer, err := netip.ParseAddrPort(a.request.RemoteAddr); err == nil {
		address = peer.Addr()
	}
	if !address.IsValid() {
		return ""
	}
	return address.Unmap().WithZone("").String()
}

// headers is the headers of a request. A name is found in any case.
type headers http.Header

// Interface guard
var _ traits.Mapper = headers(nil)

// Find returns the value of a header, if the request has it.
func (h headers) Find(name ref.Val) (ref.Val, bool) {
	text, ok := name.(types.String)
	if !ok {
		return nil, false
	}
	lines, ok := h[http.CanonicalHeaderKey(string(text))]
	if !ok {
		return nil, false
	}
	return types.String(strings.Join(lines, ", ")), true
}

// Get returns the value of a header; for one that the request does not have, an error.
func (h headers) Get(name ref.Val) ref.Val {
	if value, ok := h.Find(name); ok {
		return value
	}
	return types.NewErr("the request has no header %.40q", fmt.Sprint(name.Value()))
}

// Contains reports whether the request has a header.
func (h headers) Contains(name ref.Val) ref.Val {
	_, ok := h.Find(name)
	return types.Bool(ok)
}

// whole is all of it, with names in lower case: an expression that goes through all headers.
func (h headers) whole() object {
	members := make(map[string]any, len(h))
	for name, lines := range h {
		members[strings.ToLower(name)] = strings.Join(lines, ", ")
	}
	return object{types.NewStringInterfaceMap(adapter{}, members), members}
}

// Iterator goes through the names, in their order.
func (h headers) Iterator() traits.Iterator { return h.whole().Iterator() }

// Size returns the number of headers.
func (h headers) Size() ref.Val { return types.Int(len(h)) }

// Equal compares all headers.
func (h headers) Equal(other ref.Val) ref.Val { return h.whole().Equal(other) }

// Type is that of a map.
func (headers) Type() ref.Type { return types.MapType }

// Value returns the headers.
func (h headers) Value() any { return h.whole().members }

// ConvertToNative returns all headers as a Go type.
func (h headers) ConvertToNative(t reflect.Type) (any, error) { return h.whole().ConvertToNative(t) }

// ConvertToType returns all headers as another type of the language.
func (h headers) ConvertToType(t ref.Type) ref.Val { return h.whole().ConvertToType(t) }
