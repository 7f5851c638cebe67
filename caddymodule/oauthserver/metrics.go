package oauthserver

import (
	"context"
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// The collectors live as long as the process, so that a reload resets no counter. No label is a
// user, a client or a token: labels must have few values.
var (
	tokenRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "token_requests_total",
		Help: "Requests to the token endpoint, by server, grant and error code (empty: a token was issued).",
	}, []string{"server", "grant", "error"})

	tokenDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "token_duration_seconds",
		Help:    "Duration of requests to the token endpoint, by server and grant.",
		Buckets: durationBuckets,
	}, []string{"server", "grant"})

	endpointRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "endpoint_requests_total",
		Help: "Requests to the other endpoints that take forms, by server, endpoint and error code (empty: done).",
	}, []string{"server", "endpoint", "error"})

	endpointDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "endpoint_duration_seconds",
		Help:    "Duration of requests to these endpoints, by server and endpoint.",
		Buckets: durationBuckets,
	}, []string{"server", "endpoint"})

	pagesShown = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "pages_total",
		Help: "Pages that people were shown, by server and page.",
	}, []string{"server", "page"})
)

// durationBuckets are for requests that may wait for a hash or for a store, in seconds.
var durationBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// RegisterMetrics registers collectors with the registry of the configuration that is provisioned,
// which is a new one at each load, and with them what is known of the state of this process.
// Collectors that it has are left out.
func RegisterMetrics(ctx caddy.Context, collectors ...prometheus.Collector) error {
	registry := ctx.GetMetricsRegistry()
	for _, c := range append(collectors, running) {
		if err := registry.Register(c); err != nil {
			if _, registered := errors.AsType[prometheus.AlreadyRegisteredError](err); !registered {
				return err
			}
		}
	}
	return nil
}

// observe counts a request to an endpoint that takes forms.
func (s *AuthorizationServer) observe(_ context.Context, o tokenep.Outcome) {
	code := ""
	if o.Err != nil {
		code = string(o.Err.Code)
	}
	if o.Endpoint != tokenep.TokenEndpointName {
		endpointRequests.WithLabelValues(s.name, o.Endpoint, code).Inc()
		endpointDuration.WithLabelValues(s.name, o.Endpoint).Observe(o.Duration.Seconds())
		return
	}
	grant := tokenep.GrantName(o.Grant) // empty if the request was refused before it named one
	tokens, ok := s.tokens.Load([2]string{grant, code})
	if !ok {
		tokens, _ = s.tokens.LoadOrStore([2]string{grant, code}, tokenMetrics{
			requests: tokenRequests.WithLabelValues(s.name, grant, code), duration: tokenDuration.WithLabelValues(s.name, grant),
		})
	}
	tokens.(tokenMetrics).requests.Inc()
	tokens.(tokenMetrics).duration.Observe(o.Duration.Seconds())
}

// tokenMetrics are those of one grant and one error code. They are looked up once.
type tokenMetrics struct {
	requests prometheus.Counter
	duration prometheus.Observer
}
