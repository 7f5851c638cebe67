package sites

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// maxURLs bounds for how many URLs a server is asked.
const maxURLs = 2000

// URLs returns one request for each of these paths, and of those of the matchers of a server, on
// each host of its sites, with "any" in the place of a wildcard; and whether they are all that
// differ for the routes.
func URLs(server *caddyhttp.Server, more ...string) (requests []*http.Request, all bool) {
	all = true
	for i := range server.Routes {
		of, whole := namedIn(server, i).requests(server, more)
		requests, all = append(requests, of...), all && whole
	}
	return requests[:min(len(requests), maxURLs)], all && len(requests) <= maxURLs
}

// names are what the routes of a site tell requests apart by.
type names struct {
	hosts, paths []string
	taken        []string // what is taken off the beginning of a path
	more         bool     // it is not known what else changes a path
}

func namedIn(server *caddyhttp.Server, site int) *names {
	n := new(names)
	for _, route := range inner(server, server.Routes[site:site+1]) {
		for _, set := range route.MatcherSets {
			n.add(set)
		}
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *rewrite.Rewrite:
				n.taken = append(n.taken, h.StripPathPrefix)
				n.more = n.more || h.StripPathPrefix == "" || h.URI+h.StripPathSuffix != "" || len(h.URISubstring)+len(h.PathRegexp) > 0
			case *caddyhttp.Subroute:
				n.more = n.more || h.Errors != nil
			default:
				n.more = n.more || !LeavesRequests(h) && !Answers(h) && !is(h, "http.handlers.headers", "http.handlers.authentication",
					"http.handlers.reverse_proxy", "http.handlers.file_server", "http.handlers.invoke", "http.handlers.oauth_verify")
			}
		}
		if len(n.hosts) == 0 { // that of the site
			n.hosts = []string{"any"}
		}
	}
	return n
}

// add adds the hosts and paths of a set of matchers.
func (n *names) add(set caddyhttp.MatcherSet) {
	for _, matcher := range set {
		switch m := matcher.(type) {
		case *caddyhttp.MatchHost:
			n.hosts = append(n.hosts, *m...)
		case *caddyhttp.MatchPath:
			for _, path := range *m {
				n.paths = append(n.paths, "/"+strings.TrimPrefix(path, "/"))
			}
		case *caddyhttp.MatchNot:
			for _, set := range m.MatcherSets {
				n.add(set)
			}
		}
	}
}

// requests returns those of URLs, and whether they are all that differ for the routes.
func (n *names) requests(server *caddyhttp.Server, paths []string) (requests []*http.Request, all bool) {
	paths, all = slices.Concat(paths, n.paths), !n.more
	for range 2 { // one may be within another
		for _, start := range n.taken {
			for _, path := range paths {
				if !strings.HasPrefix(path, start) {
					paths = append(paths, start+path)
				}
			}
		}
	}
	scheme := "http://"
	if len(server.TLSConnPolicies) > 0 {
		scheme = "https://"
	}
	var urls []string
	for _, path := range paths {
		all = all && !strings.ContainsAny(strings.TrimSuffix(path, "*"), "*{%?#")
		for _, host := range n.hosts {
			urls = append(urls, scheme+strings.ReplaceAll(host+path, "*", "any"))
		}
	}
	slices.Sort(urls)
	urls = slices.Compact(urls)
	for _, url := range urls[:min(len(urls), maxURLs)] {
		r, err := http.NewRequest(http.MethodGet, url, http.NoBody) //nolint:noctx // it is not sent
		if all = all && err == nil; err == nil {
			requests = append(requests, r)
		}
	}
	return requests, all && len(urls) <= maxURLs
}

// Excluded returns the handlers of a type that are there by a path, and that no path comes to: it
// is none of what they are in, or others in front answer for it. Where there are too many ways to
// tell there are none.
func Excluded[H interface {
	comparable
	caddyhttp.MiddlewareHandler
}](server *caddyhttp.Server) (excluded []H) {
	comes := make(map[H]bool) // or may come: sites share named routes
	for i := range server.Routes {
		requests, all := namedIn(server, i).requests(server, nil)
		for _, route := range inner(server, server.Routes[i:i+1]) {
			for _, handler := range route.Handlers {
				if h, ok := handler.(H); ok && byPath(route) {
					excluded = append(excluded, h)
					comes[h] = comes[h] || !all
				}
			}
		}
		if !all {
			continue
		}
		note := func(handler caddyhttp.MiddlewareHandler, _ Way) Handlers {
			if h, ok := handler.(H); ok {
				comes[h] = true
			}
			return nil
		}
		if slices.ContainsFunc(requests, func(r *http.Request) bool { return !Asked(server, r, note) }) {
			return nil
		}
	}
	return slices.DeleteFunc(excluded, func(h H) bool {
		more := comes[h]
		comes[h] = true // it is named once
		return more
	})
}
