package policy

import (
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
)

// maxText is how long a text may be that an expression makes, in bytes.
const maxText = 64 << 10

// textFunctions are the functions on texts: split, lowerAscii, replace, trim and their like. The
// cost of one is counted when it has run, so those whose result can be far longer than what it is
// made of have a bound of their own, or do not exist.
func textFunctions() []cel.EnvOption {
	replaceIn := []*cel.Type{cel.StringType, cel.StringType, cel.StringType}
	joined := []*cel.Type{cel.ListType(cel.StringType)}
	return []cel.EnvOption{
		ext.Strings(ext.StringsVersion(5)),
		cel.Function("format", cel.DisableDeclaration(true),
			cel.MemberOverload("string_format", []*cel.Type{cel.StringType, cel.ListType(cel.DynType)}, cel.StringType)),
		cel.Function("replace",
			cel.MemberOverload("string_replace_string_string", replaceIn, cel.StringType, cel.FunctionBinding(replace)),
			cel.MemberOverload("string_replace_string_string_int", append(replaceIn, cel.IntType), cel.StringType, cel.FunctionBinding(replace))),
		cel.Function("join",
			cel.MemberOverload("list_join", joined, cel.StringType, cel.UnaryBinding(func(list ref.Val) ref.Val { return join(list, types.String("")) })),
			cel.MemberOverload("list_join_string", append(joined, cel.StringType), cel.StringType, cel.BinaryBinding(join))),
	}
}

var errText = types.NewErr("the text is longer than %d bytes", maxText)

// replace is strings.Replace: of a text, an old and a new one, and perhaps how often; below 0 is
// always.
func replace(args ...ref.Val) ref.Val {
	text, old, with := string(args[0].(types.String)), string(args[1].(types.String)), string(args[2].(types.String))
	times := strings.Count(text, old)
	if old == "" {
		times = utf8.RuneCountInString(text) + 1
	}
	if len(args) > 3 {
		if n := args[3].(types.Int); n >= 0 {
			times = int(min(types.Int(times), n))
		}
	}
	if len(text)+times*(len(with)-len(old)) > maxText {
		return errText
	}
	return types.String(strings.Replace(text, old, with, times))
}

// join puts the texts of a list into one, with a separator.
func join(list, separator ref.Val) ref.Val {
	var b strings.Builder
	between := string(separator.(types.String))
	for i := list.(traits.Lister).Iterator(); i.HasNext() == types.True; {
		element := i.Next()
		text, ok := element.(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(element)
		}
		if b.Len()+len(between)+len(text) > maxText {
			return errText
		}
		b.WriteString(string(text))
		if i.HasNext() == types.True {
			b.WriteString(between)
		}
	}
	return types.String(b.String())
}
