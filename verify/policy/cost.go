package policy

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
)

// largest is how long a text, and how large a list or an object, is taken to be: as long as the
// longest token that is accepted by default.
const largest = 8192

// cheap reports whether an expression costs no more than CostLimit, whatever a token says. It need
// not be counted then, which takes longer than most expressions do.
func cheap(env *cel.Env, compiled *cel.Ast) bool {
	cost, err := env.EstimateCost(compiled, sizes{})
	return err == nil && cost.Max <= CostLimit
}

// sizes estimates what is not known before an expression runs.
type sizes struct{}

// EstimateSize returns the largest size.
func (sizes) EstimateSize(checker.AstNode) *checker.SizeEstimate {
	return &checker.SizeEstimate{Max: largest}
}

// EstimateCallCost leaves the cost of functions to the language.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
