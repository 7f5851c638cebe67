package sites

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// matches reports whether requests may come to a route, and whether they must.
func (w *walk) matches(route *caddyhttp.Route, way Way) (may, must bool) {
	if route.Group != "" && slices.Contains(way.met, route.Group) {
		return false, false
	}
	w.show(way.Request)
	if w.exact {
		may, err := route.MatcherSets.AnyMatchWithError(way.Request)
		w.err, w.stopped = err, err != nil
		return may, may
	}
	must = len(route.MatcherSets) == 0
	may = must
	for _, set := range route.MatcherSets {
		can, sure := matches(set, way.Request)
		may, must = may || can, must || sure
	}
	return may, must
}

// matches reports whether a request may match all of a set, and whether it must; nil: any request.
func matches(set caddyhttp.MatcherSet, r *http.Request) (may, must bool) {
	may, must = true, true
	for _, matcher := range set {
		can, sure := true, false
		switch m := matcher.(type) {
		case *caddyhttp.MatchHost:
			can, sure = known(m, r)
		case *caddyhttp.MatchPath:
			if can = r == nil || mayBegin(*m, r.URL.Path); can {
				can, sure = known(m, r)
			}
		case *caddyhttp.MatchNot:
			sure = true
			for _, set := range m.MatcherSets {
				is, surely := matches(set, r)
				can, sure = can && !surely, sure && !is
			}
		}
		may, must = may && can, must && sure
	}
	return may, must
}

// mayBegin reports whether a path begins as one of those of a matcher does, as far as that can be
// said at once: to ask the matcher costs a hundred times as much.
func mayBegin(m caddyhttp.MatchPath, path string) bool {
	if strings.Contains(path, "//") || strings.Contains(path, "/.") { // which it cleans
		return true
	}
	path = strings.ToLower(path)
	return slices.ContainsFunc(m, func(pattern string) bool {
		start, _, _ := strings.Cut(pattern, "*")
		return strings.ContainsAny(pattern, `{%?[\`) || strings.HasPrefix(path, start)
	})
}

func known(m caddyhttp.RequestMatcherWithError, r *http.Request) (may, must bool) {
	if r == nil {
		return true, false
	}
	matched, err := m.MatchWithError(r)
	return matched || err != nil, matched && err == nil
}
