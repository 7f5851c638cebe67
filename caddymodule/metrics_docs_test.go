package caddymodule_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// declaredMetrics returns the labels of the metrics of the source, by their names.
func declaredMetrics(t *testing.T) map[string][]string {
	t.Helper()
	metrics := map[string][]string{}
	declared := regexp.MustCompile(`(?s)Namespace: "caddy", Subsystem: "oauth", Name: "(\w+)",.*?\[\]string\{([^}]*)\}\)`)
	for _, s := range sources(t) {
		if s.isTest() || !s.under("caddymodule") {
			continue
		}
		for _, m := range declared.FindAllStringSubmatch(repositoryFile(t, s.path), -1) {
			metrics["caddy_oauth_"+m[1]] = strings.Split(strings.ReplaceAll(m[2], `"`, ""), ", ")
		}
	}
	if len(metrics) < 20 {
		t.Fatalf("the source has %v", metrics)
	}
	return metrics
}

// TestMetricsOfDocsExist compares the metrics and labels of the manual with those of the source.
func TestMetricsOfDocsExist(t *testing.T) {
	metrics, page := declaredMetrics(t), repositoryFile(t, "caddymodule/docs/metrics.md")
	for name, labels := range metrics {
		if row := "| `" + name + "` | `" + strings.Join(labels, "`, `") + "` |"; !strings.Contains(page, row) {
			t.Errorf("docs/metrics.md has no row %s", row)
		}
	}
	for name, text := range manualPages(t) {
		if _, err := metricsOf(text, metrics); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var (
	metricInQuery = regexp.MustCompile(`\b(caddy_oauth_\w+?)(_bucket|_sum|_count)?\b(?:\{([^}]*)\})?`)
	matchedLabel  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	keptLabels    = regexp.MustCompile(`\b(?:by|on)\s*\(([^)]*)\)`)
	bucketLabel   = regexp.MustCompile(`,?le="[^"]*"`)
	shownLabel    = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}`)
)

// metricsOf returns the metrics of a text. The error names one that does not exist, or has not the
// label by which it is chosen.
func metricsOf(text string, metrics map[string][]string) (names []string, err error) {
	for _, m := range metricInQuery.FindAllStringSubmatch(text, -1) {
		labels, ok := metrics[m[1]]
		if !ok || m[2] != "" && !strings.HasSuffix(m[1], "_duration_seconds") {
			return nil, fmt.Errorf("there is no metric %s", m[0])
		}
		for _, l := range matchedLabel.FindAllStringSubmatch(m[3], -1) {
			if !slices.Contains(labels, l[1]) {
				return nil, fmt.Errorf("%s has no label %s", m[1], l[1])
			}
		}
		names = append(names, m[1])
	}
	return names, nil
}

// checkQuery returns the metrics of a query. What it groups by are labels of all of them, or those
// that Prometheus adds; and what is shown of the result is left of it.
func checkQuery(query, shown string, metrics map[string][]string) ([]string, error) {
	names, err := metricsOf(query, metrics)
	switch {
	case err != nil:
		return nil, err
	case len(names) == 0:
		return nil, errors.New("it has no metric of this project")
	case strings.Count(query, "(") != strings.Count(query, ")"):
		return nil, errors.New("its parentheses do not match")
	}
	var kept []string
	for _, m := range keptLabels.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			label = strings.TrimSpace(label)
			kept = append(kept, label)
			for _, name := range names {
				bucket := label == "le" && strings.Contains(query, name+"_bucket")
				if label != "instance" && !bucket && !slices.Contains(metrics[name], label) {
					return nil, fmt.Errorf("%s has no label %s", name, label)
				}
			}
		}
	}
	for _, m := range shownLabel.FindAllStringSubmatch(shown, -1) {
		if !slices.Contains(kept, m[1]) {
			return nil, fmt.Errorf("the label %s is shown, and not left by the query", m[1])
		}
	}
	return names, nil
}

// TestDocsAlertsAreOfMetricsThatExist parses the rules for Prometheus, and checks each query.
func TestDocsAlertsAreOfMetricsThatExist(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(repositoryFile(t, "caddymodule/docs/alerts.yml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	metrics, page := declaredMetrics(t), repositoryFile(t, "caddymodule/docs/metrics.md")
	for _, g := range file.Groups {
		if len(g.Rules) < 8 {
			t.Errorf("%s: %d rules", g.Name, len(g.Rules))
		}
		for _, r := range g.Rules {
			if _, err := checkQuery(r.Expr, r.Annotations["summary"]+r.Annotations["description"], metrics); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
			if r.For == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || !strings.Contains(page, "`"+r.Alert+"`") {
				t.Errorf("%s: it needs for, a severity, a summary, and a row in docs/metrics.md", r.Alert)
			}
		}
	}
}

// TestDocsDashboardShowsEveryMetric parses the dashboard for Grafana, and checks each query.
func TestDocsDashboardShowsEveryMetric(t *testing.T) {
	var board struct {
		Panels []struct {
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Name, Query string }
		}
	}
	if err := json.Unmarshal([]byte(repositoryFile(t, "caddymodule/docs/dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	metrics, shown, places := declaredMetrics(t), map[string]bool{}, map[string]bool{}
	for _, p := range board.Panels {
		place := fmt.Sprint(p.GridPos.X, p.GridPos.Y)
		if places[place] || p.GridPos.X+p.GridPos.W > 24 || len(p.Targets) == 0 {
			t.Errorf("%s: it lies over another, or beside the board, or is empty", p.Title)
		}
		places[place] = true
		for _, target := range p.Targets {
			names, err := checkQuery(target.Expr, target.LegendFormat, metrics)
			if err != nil {
				t.Errorf("%s: %v", p.Title, err)
			}
			for _, name := range names {
				shown[name] = true
			}
		}
	}
	for name := range metrics {
		if !shown[name] {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
	for _, v := range board.Templating.List {
		if _, err := metricsOf(v.Query, metrics); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}
