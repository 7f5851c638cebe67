// Package policy is rules over the claims of a token, in the Common Expression Language
// (cel.dev): conditions, and values that are made of claims.
//
//	claims.repository_id == "123" && claims.ref == "refs/heads/main"
//	"github:" + claims.repository
//
// An expression is compiled once, with its errors and their positions, and costs no more than
// [CostLimit] when it runs. It sees the variable claims, which has every member of the payload, and
// nothing else: no clock, no request, no chance. So the same claims always give the same answer.
// Rules of a route see the request as well; see [NewRule].
//
// Numbers without a fraction are ints, all others doubles. A claim that is missing is an error of
// the expression, unless has(claims.x) was asked before; so is a type that does not fit. An
// expression that fails does not hold.
//
//	policy.go  conditions and values, compiled and run
//	rule.go    conditions over the request too, as rules of a verify.Guard
//	cost.go    which expressions need not be counted while they run
//	value.go   the claims of a token as values of the language, and back
//	text.go    the functions on texts, and how long those may be that they make
//	whole.go   patterns, which must match a whole text
package policy
