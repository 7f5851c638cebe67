package policy

import (
	"regexp/syntax"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// patterns refuses a pattern that would match a part of a text: it looks like a name, and lets in
// all longer ones. CEL's matches searches. It refuses one that is too large, too: CEL's own limit
// panics at x{2}.
type patterns struct{}

// Name returns the name of the check.
func (patterns) Name() string { return "tokenep.validator.patterns" }

// Validate looks at every call of matches.
func (patterns) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	matching := func(e ast.NavigableExpr) bool {
		return e.Kind() == ast.CallKind && e.AsCall().FunctionName() == overloads.Matches
	}
	for _, call := range ast.MatchDescendants(ast.NavigateAST(a), matching) {
		args := call.AsCall().Args()
		pattern, ok := args[len(args)-1].AsLiteral().(types.String)
		switch {
		case args[len(args)-1].Kind() != ast.LiteralKind || !ok:
			issues.ReportErrorAtID(call.ID(), "the pattern of matches must be written here, and not come from a claim")
		case !whole(string(pattern)):
			issues.ReportErrorAtID(call.ID(), "the pattern matches any text that contains it; to match a whole text write '^(?:%s)$'", pattern)
		case instructions(string(pattern)) > maxRegexp:
			issues.ReportErrorAtID(call.ID(), "the pattern is too large: it has %d instructions, at most %d", instructions(string(pattern)), maxRegexp)
		}
	}
}

// whole reports whether a pattern is anchored at both ends, whichever of its alternatives matches.
func whole(pattern string) bool {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return true // which is reported for itself
	}
	parts := parsed.Sub
	return parsed.Op == syntax.OpConcat && len(parts) > 1 &&
		parts[0].Op == syntax.OpBeginText && parts[len(parts)-1].Op == syntax.OpEndText
}

// instructions returns how large a pattern is; 0: it is none, which is reported for itself.
func instructions(pattern string) int {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0
	}
	return len(program.Inst)
}
