package oauthadmin

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestManualHasEveryResource compares the table of docs/admin-api.md with the routes, and requires
// that each line of curl on that page is for one of them.
func TestManualHasEveryResource(t *testing.T) {
	text, err := os.ReadFile("../docs/admin-api.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	find := func(method, path string) {
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		segments, err := pathSegments(r.URL)
		switch {
		case path == routePath && method == http.MethodPost, path == basePath && method == http.MethodGet:
			return
		case err != nil || len(segments) == 0 || !strings.HasPrefix(path, basePath+"default"):
			t.Errorf("%s %s leads nowhere: %v", method, path, err)
			return
		}
		_, id, _, err := findRoute(httptest.NewRecorder(), r, segments[1:])
		if err != nil {
			t.Errorf("%s %s: %v", method, path, err)
		}
		pattern := strings.Join(segments[1:], "/")
		if id != "" {
			pattern = strings.Replace(pattern, id, "*", 1)
		}
		shown[method+" "+pattern] = true
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+) (/\\S*)`").FindAllStringSubmatch(string(text), -1) {
		find(m[1], strings.NewReplacer("<", "", ">", "").Replace(m[2]))
	}
	for _, route := range routes {
		if !shown[route.method+" "+route.path] {
			t.Errorf("docs/admin-api.md does not have %s %s", route.method, route.path)
		}
	}
	calls := regexp.MustCompile(`(?s)\bcurl\b([^|;]*?)http://localhost:2019(/[^\s']*)`).FindAllStringSubmatch(string(text), -1)
	if len(calls) < 5 {
		t.Errorf("%d calls with curl", len(calls))
	}
	for _, call := range calls {
		method := http.MethodGet
		if m := regexp.MustCompile(`-X (\w+)`).FindStringSubmatch(call[1]); m != nil {
			method = m[1]
		} else if strings.Contains(call[1], "-d ") {
			method = http.MethodPost
		}
		find(method, call[2])
	}
}
