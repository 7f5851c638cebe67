package sites

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// maxURLs bounds for how many URLs a server is asked.
const maxURLs = 2000

// URLs returns one request for each of these paths, and of those of the matchers of a server, on
// each host of its sites, with x in the place of a wildcard.
func URLs(server *caddyhttp.Server, more ...string) (requests []*http.Request) {
	scheme := "http://"
	if len(server.TLSConnPolicies) > 0 {
		scheme = "https://"
	}
	var all []string
	for i := range server.Routes {
		paths := slices.Clone(more)
		for _, route := range inner(server, server.Routes[i:i+1]) {
			for _, set := range route.MatcherSets {
				paths = appendPaths(paths, set)
			}
		}
		for _, host := range hostsOf(&server.Routes[i]) {
			for _, path := range paths {
				all = append(all, scheme+strings.ReplaceAll(host+path, "*", "x"))
			}
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for _, url := range all[:min(len(all), maxURLs)] {
		if r, err := http.NewRequest(http.MethodGet, url, http.NoBody); err == nil { //nolint:noctx // it is not sent
			requests = append(requests, r)
		}
	}
	return requests
}

// hostsOf returns the hosts of a site.
func hostsOf(route *caddyhttp.Route) []string {
	for _, set := range route.MatcherSets {
		for _, matcher := range set {
			if hosts, ok := matcher.(*caddyhttp.MatchHost); ok {
				return *hosts
			}
		}
	}
	return []string{"localhost"}
}

// appendPaths appends the paths that the matchers of a set name. What has a placeholder, or may be
// compared in another form, is left out.
func appendPaths(paths []string, set caddyhttp.MatcherSet) []string {
	for _, matcher := range set {
		switch m := matcher.(type) {
		case *caddyhttp.MatchPath:
			for _, path := range *m {
				if !strings.ContainsAny(path, "{%?#") {
					paths = append(paths, "/"+strings.TrimPrefix(path, "/"))
				}
			}
		case *caddyhttp.MatchNot:
			for _, set := range m.MatcherSets {
				paths = appendPaths(paths, set)
			}
		}
	}
	return paths
}
