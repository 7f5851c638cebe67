package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// CostLimit is how much one run of an expression may cost, in the units of CEL: about one for each
// step, and for each ten bytes that are compared.
const CostLimit = 10_000

// What an expression may have.
const (
	maxExpression = 4 << 10 // characters
	maxRegexp     = 1 << 10 // instructions of a pattern
)

// claimsVariable is the name of the one variable.
const claimsVariable = "claims"

// environment is the same for all expressions over claims alone.
var environment = func() *cel.Env {
	env, err := cel.NewEnv(append(textFunctions(),
		cel.Variable(claimsVariable, cel.MapType(cel.StringType, cel.DynType)),
		cel.CustomTypeAdapter(adapter{}),
		ext.Sets(),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.DefaultUTCTimeZone(true),
		cel.ASTValidators(cel.ValidateRegexLiterals(), patterns{}),
	)...)
	if err != nil {
		panic(err) // the options are constants
	}
	return env
}()

// Condition is a compiled expression that holds or does not. It is safe for concurrent use.
type Condition struct{ expression }

// Value is a compiled expression that makes a value of claims. It is safe for concurrent use.
type Value struct{ expression }

type expression struct {
	text    string
	program cel.Program
	claims  []string
	asked   []string // of these it asks whether they are there
}

// String returns the text of the expression.
func (e expression) String() string { return e.text }

// Claims returns the names of the claims that the expression looks at by name, such as role for
// claims.role.
func (e expression) Claims() []string { return e.claims }

// Constant returns the value of an expression that looks at no claim, as [Value.Of] does; nil: it
// looks at some.
func (v *Value) Constant() any {
	out, err := v.run(cel.NoVars())
	if err != nil {
		return nil
	}
	return native(out)
}

// Errors of an expression that runs.
var (
	errNotBool = errors.New("the condition is neither true nor false")
	errNotJSON = errors.New("the value is of a type that a claim cannot have")
)

// Compile compiles a condition. The error names line and column, and what is wrong there.
func Compile(text string) (*Condition, error) {
	e, err := compile(environment, text, cel.BoolType)
	if err != nil {
		return nil, err
	}
	return &Condition{e}, nil
}

// CompileValue compiles the expression of a value.
func CompileValue(text string) (*Value, error) {
	e, err := compile(environment, text, cel.StringType, cel.BoolType, cel.IntType, cel.DoubleType, cel.ListType(cel.StringType), cel.ListType(cel.DynType))
	if err != nil {
		return nil, err
	}
	return &Value{e}, nil
}

// CompileText compiles the expression of a value that must be a text.
func CompileText(text string) (*Value, error) {
	e, err := compile(environment, text, cel.StringType)
	if err != nil {
		return nil, err
	}
	return &Value{e}, nil
}

// compile compiles an expression that is of one of these types, as far as that is known before it
// runs.
func compile(env *cel.Env, text string, want ...*cel.Type) (expression, error) {
	compiled, issues := env.Compile(text)
	if found := issues.Errors(); len(found) > 0 {
		at := found[0].Location
		return expression{}, fmt.Errorf("line %d, column %d: %s%s", at.Line(), at.Column()+1, found[0].Message, cure(env, found[0].Message))
	}
	is, fits := compiled.OutputType(), false
	for _, t := range want {
		fits = fits || is.IsExactType(t) || is.IsExactType(cel.DynType)
	}
	if !fits {
		return expression{}, fmt.Errorf("%q is of the type %s, and must be a %s", text, is, want[0])
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if !cheap(env, compiled) {
		options = append(options, cel.CostLimit(CostLimit))
	}
	program, err := env.Program(compiled, options...)
	if err != nil {
		return expression{}, err
	}
	claims, asked := claimsOf(compiled.NativeRep())
	return expression{text, program, claims, asked}, nil
}

// cure says what would be right where a name is unknown, or where the text is no expression at all.
func cure(env *cel.Env, message string) string {
	switch {
	case strings.Contains(message, "undeclared reference"):
		var variables, functions []string
		for _, v := range env.Variables() {
			if v.Name() == claimsVariable || strings.HasPrefix(v.Name(), requestVariables) {
				variables = append(variables, v.Name())
			}
		}
		for name, function := range env.Functions() {
			if named.MatchString(name) && name != "in" && !function.IsDeclarationDisabled() {
				functions = append(functions, name)
			}
		}
		for _, macro := range env.Macros() {
			functions = append(functions, macro.Function())
		}
		slices.Sort(functions)
		functions = slices.Compact(functions)
		return fmt.Sprintf("; there are the variables %s, and the functions %s", strings.Join(variables, ", "), strings.Join(functions, ", "))
	case strings.HasPrefix(message, "Syntax error"):
		return `; an expression is such as claims.tenant == "acme" && "ops" in claims.groups`
	}
	return ""
}

// named matches the names of functions that are no operators.
var named = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.]*$`)

// claimsOf returns the names of the members of claims in an expression, claims.x and claims["x"],
// and those of which it asks whether they are there: has(claims.x), and "x" in claims.
func claimsOf(a *ast.AST) (names, asked []string) {
	isClaims := func(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == claimsVariable }
	ast.PreOrderVisit(ast.NavigateAST(a), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind:
			if s := e.AsSelect(); isClaims(s.Operand()) {
				names = append(names, s.FieldName())
				if s.IsTestOnly() {
					asked = append(asked, s.FieldName())
				}
			}
		case ast.CallKind:
			args := e.AsCall().Args()
			switch function := e.AsCall().FunctionName(); {
			case function == operators.Index && isClaims(args[0]):
				names = append(names, literal(args[1])...)
			case function == operators.In && isClaims(args[1]):
				asked = append(asked, literal(args[0])...)
			}
		}
	}))
	return names, asked
}

// literal returns the text of a literal; none: it is something else.
func literal(e ast.Expr) []string {
	if e.Kind() != ast.LiteralKind {
		return nil
	}
	if text, ok := e.AsLiteral().(types.String); ok {
		return []string{string(text)}
	}
	return nil
}

func (e expression) run(variables cel.Activation) (ref.Val, error) {
	out, _, err := e.program.Eval(variables)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.text, err)
	}
	return out, nil
}

// Holds reports whether the condition is true of these claims: the payload of a token, as
// verify.Token has it. The error says why that is not known; it does not hold then.
func (c *Condition) Holds(claims map[string]any) (bool, error) { return c.holds(activation{claims}) }

// holds reports whether an expression is true.
func (e expression) holds(variables cel.Activation) (bool, error) {
	out, err := e.run(variables)
	if err != nil {
		return false, err
	}
	holds, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("%s: %w", e.text, errNotBool)
	}
	return bool(holds), nil
}

// Of returns the value for these claims: a string, bool, int64, float64 or list of strings.
func (v *Value) Of(claims map[string]any) (any, error) {
	out, err := v.run(activation{claims})
	if err != nil {
		return nil, err
	}
	value := native(out)
	if value == nil {
		return nil, fmt.Errorf("%s: %w", v.text, errNotJSON)
	}
	return value, nil
}

// activation is the variables of one run.
type activation struct{ claims map[string]any }

func (a activation) ResolveName(name string) (any, bool) { return a.claims, name == claimsVariable }

func (activation) Parent() cel.Activation { return nil }
