package policy

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// native returns a value as a claim can have it; nil: it cannot.
func native(out ref.Val) any {
	switch value := out.Value().(type) {
	case string, bool, int64, float64:
		return value
	case []string:
		return value
	case []any:
		return texts(len(value), func(i int) any { return value[i] })
	case []ref.Val:
		return texts(len(value), func(i int) any { return value[i].Value() })
	}
	return nil
}

// texts returns a list of strings; nil: one of its n elements is none.
func texts(n int, at func(int) any) any {
	list := make([]string, n)
	for i := range list {
		text, ok := at(i).(string)
		if !ok {
			return nil
		}
		list[i] = text
	}
	return list
}

// adapter makes values of CEL of those of a token. A number is a json.Number there.
type adapter struct{}

func (adapter) NativeToValue(value any) ref.Val {
	switch value := value.(type) {
	case string:
		return types.String(value)
	case json.Number:
		return number(string(value))
	case map[string]any:
		return object{types.NewStringInterfaceMap(adapter{}, value), value}
	case []any:
		return types.NewDynamicList(adapter{}, value)
	}
	return types.DefaultTypeAdapter.NativeToValue(value)
}

// object is a JSON object. Its members have an order, that of their names: what goes through them
// has the same answer each time.
type object struct {
	traits.Mapper
	members map[string]any
}

// Iterator goes through the names.
func (o object) Iterator() traits.Iterator {
	names := slices.Sorted(maps.Keys(o.members))
	return types.NewStringList(types.DefaultTypeAdapter, names).Iterator()
}

// number reads a JSON number. One that is no int64 and has no fraction is not rounded: two ids that
// differ must not become equal.
func number(text string) ref.Val {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return types.Int(n)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !strings.ContainsAny(text, ".eE") || math.Abs(f) > 1<<53 {
		return types.NewErr("the number %.40s is too large", text)
	}
	return types.Double(f)
}
