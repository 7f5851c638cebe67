package oauthverify

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The collectors live as long as the process, so that a reload resets no counter. No label is a
// user, a client or a token: each label has few values.
var (
	verifyRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "verify_requests_total",
		Help: "Decisions of oauth_verify, by trusted server of this process (empty: none) and result.",
	}, []string{"server", "result"})

	verifyDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "verify_duration_seconds",
		Help:    "Duration of decisions of oauth_verify, by trusted server of this process.",
		Buckets: []float64{.000001, .0000025, .000005, .00001, .000025, .00005, .0001, .00025, .0005, .001, .005, .025, .1, 1},
	}, []string{"server"})
)

// decisions counts the decisions of one route. Most are ok: that counter is not looked up.
type decisions struct {
	all      *prometheus.CounterVec // by result
	ok       prometheus.Counter
	duration prometheus.Observer
}

// decisionsFor returns what counts the decisions of a route that trusts server.
func decisionsFor(server string) decisions {
	all := verifyRequests.MustCurryWith(prometheus.Labels{"server": server})
	return decisions{all: all, ok: all.WithLabelValues(resultOK), duration: verifyDuration.WithLabelValues(server)}
}

// count counts a decision, and its duration.
func (d *decisions) count(result string, took time.Duration) {
	if result == resultOK {
		d.ok.Inc()
	} else {
		d.all.WithLabelValues(result).Inc()
	}
	d.duration.Observe(took.Seconds())
}
