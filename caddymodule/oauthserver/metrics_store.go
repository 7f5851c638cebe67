package oauthserver

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

var (
	storeDuration = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "store_duration_seconds",
		Help: "Duration of the verbs of the store, by server and verb, good or not.",
	}, []string{"server", "verb"})

	storeErrors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "store_errors_total",
		Help: "Verbs of the store that it did not carry out, by server, verb and error.",
	}, []string{"server", "verb", "error"})
)

// verb is one of the five of a store.
type verb int

const (
	insert verb = iota
	load
	swap
	remove
	list
)

var verbs = [...]string{insert: "insert", load: "load", swap: "swap", remove: "delete", list: "list"}

// storeMeasure measures the verbs of the store of one server. A histogram of the library costs 100
// ns and more for each; this one is two atomic additions.
type storeMeasure struct {
	server string
	verbs  [len(verbs)]struct {
		counts [len(storeBounds) + 1]atomic.Uint64 // by the first bound that is not exceeded
		sum    atomic.Int64                        // ns
	}
}

// storeBounds are the upper bounds of the buckets.
var storeBounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond,
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

// storeMeasures are those of the servers that there were in this process, by their names.
var storeMeasures sync.Map

func measureStore(server string) *storeMeasure {
	m, _ := storeMeasures.LoadOrStore(server, &storeMeasure{server: server})
	for _, name := range verbs {
		storeErrors.WithLabelValues(server, name, "unavailable") // begins at 0
	}
	return m.(*storeMeasure)
}

// processStart is what moments are measured from: the wall clock is not read for it.
var processStart = time.Now()

// done takes a verb that began at a time since processStart. That there is no such record, or
// another version of it, is an answer and no error.
func (m *storeMeasure) done(v verb, began time.Duration, err error) {
	took, bucket := time.Since(processStart)-began, 0
	for bucket < len(storeBounds) && took > storeBounds[bucket] {
		bucket++
	}
	m.verbs[v].counts[bucket].Add(1)
	m.verbs[v].sum.Add(int64(took))
	if err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrExists) {
		return
	}
	what := "unavailable"
	switch {
	case errors.Is(err, context.Canceled):
		what = "canceled"
	case errors.Is(err, store.ErrInvalid):
		what = "invalid"
	}
	storeErrors.WithLabelValues(m.server, verbs[v], what).Inc()
}

// collect sends the histograms of the verbs.
func (m *storeMeasure) collect(to chan<- prometheus.Metric) {
	for v, name := range verbs {
		all, buckets := uint64(0), make(map[float64]uint64, len(storeBounds))
		for i := range storeBounds {
			all += m.verbs[v].counts[i].Load()
			buckets[storeBounds[i].Seconds()] = all
		}
		all += m.verbs[v].counts[len(storeBounds)].Load()
		sum := time.Duration(m.verbs[v].sum.Load()).Seconds()
		to <- prometheus.MustNewConstHistogram(storeDuration, all, sum, buckets, m.server, name)
	}
}
