package caddymodule

import (
	"context"
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
)

// The collectors live as long as the process, so that counters go on over a reload. No label is ever a user, a client or a token: labels have few values.
var (
	tokenRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "token_requests_total",
		Help: "Requests to the token endpoint, by server, grant and error code (empty: a token was issued).",
	}, []string{"server", "grant", "error"})

	tokenDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "token_duration_seconds",
		Help:    "Time that the token endpoint took for a request, by server and grant.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"server", "grant"})

	verifyRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "verify_requests_total",
		Help: "Decisions of oauth_verify, by trusted server (empty: none of this process) and result.",
	}, []string{"server", "result"})

	verifyDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "verify_duration_seconds",
		Help:    "Time that a decision of oauth_verify took, by trusted server.",
		Buckets: []float64{.000001, .0000025, .000005, .00001, .000025, .00005, .0001, .00025, .0005, .001, .005, .025, .1, 1},
	}, []string{"server"})
)

// registerMetrics registers the collectors with the registry of this configuration: each load has a new one.
func registerMetrics(ctx *caddy.Context) error {
	registry := ctx.GetMetricsRegistry()
	for _, c := range []prometheus.Collector{tokenRequests, tokenDuration, verifyRequests, verifyDuration} {
		if err := registry.Register(c); err != nil {
			if _, registered := errors.AsType[prometheus.AlreadyRegisteredError](err); !registered {
				return err
			}
		}
	}
	return nil
}

// grantLabels are the grants as labels.
var grantLabels = map[string]string{
	"":                          "", // refused for want of such a grant, or of a form
	grant.ClientCredentialsType: "client_credentials",
	grant.TokenExchangeType:     "token_exchange",
}

// observe counts a request to the token endpoint.
func (s *Server) observe(_ context.Context, o tokenep.Outcome) {
	label, known := grantLabels[o.Grant]
	if !known {
		label = "other"
	}
	code := ""
	if o.Err != nil {
		code = string(o.Err.Code)
	}
	tokenRequests.WithLabelValues(s.name, label, code).Inc()
	tokenDuration.WithLabelValues(s.name, label).Observe(o.Duration.Seconds())
}

// countDecision counts a decision of a guard.
func countDecision(server, result string, took time.Duration) {
	verifyRequests.WithLabelValues(server, result).Inc()
	verifyDuration.WithLabelValues(server).Observe(took.Seconds())
}
