package oauthserver

import (
	"context"
	"errors"

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
)

// RegisterMetrics registers collectors with the registry of the configuration that is provisioned,
// which is a new one at each load. Collectors that it has are left out.
func RegisterMetrics(ctx caddy.Context, collectors ...prometheus.Collector) error {
	registry := ctx.GetMetricsRegistry()
	for _, c := range collectors {
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
func (s *AuthorizationServer) observe(_ context.Context, o tokenep.Outcome) {
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
