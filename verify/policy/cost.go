package policy

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
)

// How long a text, and how large a list or an object, is taken to be: of claims, as long as the
// longest token that is accepted by default, and an eighth of the longest answer about one; of a
// request, as long as all of its headers may be by default.
const (
	largestClaim   = 8 << 10
	largestRequest = 1 << 20
)

// cheap reports whether an expression costs no more than CostLimit, whatever a token says. It need
// not be counted then, which takes longer than most expressions do.
func cheap(env *cel.Env, compiled *cel.Ast) bool {
	cost, err := env.EstimateCost(compiled, sizes{})
	return err == nil && cost.Max <= CostLimit
}

// sizes estimates what is not known before an expression runs.
type sizes struct{}

// EstimateSize returns the largest size.
func (sizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	if path := node.Path(); len(path) > 0 && path[0] == claimsVariable {
		return &checker.SizeEstimate{Max: largestClaim}
	}
	return &checker.SizeEstimate{Max: largestRequest}
}

// EstimateCallCost leaves the cost of functions to the language.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
