package oauthserver

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/verify"
)

// What is read when somebody asks for it, of the servers that are started.
var (
	revocationsAge = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "revocations_age_seconds",
		Help: "How long ago the revocations of a server were complete in this process.",
	}, []string{"server"})

	revocationsHeld = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "revocations",
		Help: "Revocations of a server that are in force in this process.",
	}, []string{"server"})

	signingKeys = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "signing_keys",
		Help: "Signing keys, by server, what they sign, algorithm and state.",
	}, []string{"server", "signs", "alg", "state"})

	signingKeyAge = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "signing_key_age_seconds",
		Help: "How long the active key has signed, and the next one has been published.",
	}, []string{"server", "signs", "alg", "state"})

	cacheTokens = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "cache_tokens",
		Help: "Verified tokens in the cache, by trusted server of this process (empty: none).",
	}, []string{"server"})

	cacheBytes = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "cache_bytes",
		Help: "Memory that the tokens in the cache have, about, by trusted server of this process.",
	}, []string{"server"})

	cacheLookups = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "cache_lookups_total",
		Help: "Tokens that were looked up in the cache, by trusted server of this process and result.",
	}, []string{"server", "result"})

	limiterRefused = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "limiter_refused_total",
		Help: "Attempts to authenticate that were refused after too many failures, by server and who made them.",
	}, []string{"server", "who"})

	limiterWaiting = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "limiter_waiting",
		Help: "Attempts to authenticate that wait because of earlier failures, by server and who made them.",
	}, []string{"server", "who"})

	keySetUp = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "key_set_up",
		Help: "Whether the key set of another issuer could be fetched the last time.",
	}, []string{"issuer"})

	keySetAge = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "key_set_age_seconds",
		Help: "How long ago the key set of another issuer was the current one for certain.",
	}, []string{"issuer"})

	usersUp = describe(prometheus.Opts{
		Namespace: "caddy", Subsystem: "oauth", Name: "users_up",
		Help: "Whether the source of users knew, when it was asked last, by server.",
	}, []string{"server"})
)

// describe describes a metric that stateCollector reads.
func describe(o prometheus.Opts, labels []string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(o.Namespace, o.Subsystem, o.Name), o.Help, labels, nil)
}

// stateCollector reads the state of what there is in this process.
type stateCollector struct {
	mu        sync.Mutex
	servers   []*AuthorizationServer // the last one of a name counts
	followers []follows
	keySets   []*guardedKeys
	shared    *verify.Cache // see MeasureCache; may be nil
}

// follows is somebody who follows the revocations of a server in another process.
type follows struct {
	server string
	*followed
}

// running is what there is in this process.
var running = new(stateCollector)

// MeasureCache adds the cache of verified tokens of guards that trust no server of this process,
// until forget is called.
func MeasureCache(c *verify.Cache) (forget func()) {
	running.mu.Lock()
	defer running.mu.Unlock()
	running.shared = c
	return func() {
		running.mu.Lock()
		defer running.mu.Unlock()
		if running.shared == c { // else there is a newer one
			running.shared = nil
		}
	}
}

// guardedKeys are the keys of an issuer elsewhere whose tokens a guard takes that trusts a server
// of this process; "": none.
type guardedKeys struct {
	server string
	endpoint.ForeignKeys
}

// MeasureKeys adds the keys of an issuer elsewhere whose tokens a guard takes, beside those of a
// server if there is one, until forget is called. Keys that are not fetched are not measured.
func MeasureKeys(server, issuer string, set verify.KeySet) (forget func()) {
	fetched, ok := set.(*verify.URLKeys)
	if !ok {
		return func() {}
	}
	running.mu.Lock()
	defer running.mu.Unlock()
	added := &guardedKeys{server, endpoint.ForeignKeys{Issuer: issuer, Keys: fetched}}
	running.keySets = append(running.keySets, added)
	return func() {
		running.mu.Lock()
		defer running.mu.Unlock()
		running.keySets = slices.DeleteFunc(running.keySets, func(k *guardedKeys) bool { return k == added })
	}
}

// foreignKeys returns the keys that guards of this process take for which that holds, each once.
func (c *stateCollector) foreignKeys(holds func(server string) bool) (sets []endpoint.ForeignKeys) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.keySets {
		if holds(k.server) && !slices.Contains(sets, k.ForeignKeys) {
			sets = append(sets, k.ForeignKeys)
		}
	}
	return sets
}

func ofAll(string) bool { return true }

// foreignKeys returns those that are taken beside the tokens of this server.
func (s *AuthorizationServer) foreignKeys() []endpoint.ForeignKeys {
	return running.foreignKeys(func(server string) bool { return server == s.name })
}

func (c *stateCollector) started(s *AuthorizationServer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = append(c.servers, s)
}

func (c *stateCollector) stopped(s *AuthorizationServer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = slices.DeleteFunc(c.servers, func(other *AuthorizationServer) bool { return other == s })
}

func (c *stateCollector) follow(server string, f *followed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.followers = append(c.followers, follows{server, f})
}

func (c *stateCollector) unfollow(f *followed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.followers = slices.DeleteFunc(c.followers, func(other follows) bool { return other.followed == f })
}

// Describe implements prometheus.Collector.
func (*stateCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		storeDuration, revocationsAge, revocationsHeld, signingKeys, signingKeyAge, cacheTokens, cacheBytes, cacheLookups,
		limiterRefused, limiterWaiting, keySetUp, keySetAge, usersUp,
	} {
		to <- d
	}
}

// now returns the servers by their names, and the revocations that are followed of others: of one
// name those that are the most behind. What needs no more than the lock it sends itself.
func (c *stateCollector) now(to chan<- prometheus.Metric) (map[string]*AuthorizationServer, map[string]*verify.Revocations) {
	c.mu.Lock()
	defer c.mu.Unlock()
	servers, revoked := make(map[string]*AuthorizationServer), make(map[string]*verify.Revocations)
	for _, s := range c.servers {
		servers[s.name] = s
	}
	for _, f := range c.followers {
		if set := revoked[f.server]; set == nil || f.set.LastFollowed().Before(set.LastFollowed()) {
			revoked[f.server] = &f.set
		}
	}
	if c.shared != nil {
		collectCache(to, "", c.shared)
	}
	return servers, revoked
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(to chan<- prometheus.Metric) {
	sets := c.foreignKeys(ofAll)
	storeMeasures.Range(func(_, m any) bool {
		m.(*storeMeasure).collect(to)
		return true
	})
	servers, revoked := c.now(to)
	for name, s := range servers {
		memory := s.core.Config.Memory
		revoked[name] = memory.Revocations
		sets = append(sets, s.core.ForeignKeys()...)
		collectKeys(to, name, s.core.Rings())
		collectCache(to, name, memory.Cache)
		collectLimiter(to, name, "client", memory.Limiter)
		collectLimiter(to, name, "person", memory.SignIns)
		if asked, err := s.core.UsersAsked(); !asked.IsZero() {
			up := 1.
			if err != nil {
				up = 0
			}
			to <- gauge(usersUp, up, name)
		}
	}
	collectKeySets(to, sets)
	for name, set := range revoked {
		if at := set.LastFollowed(); !at.IsZero() {
			to <- gauge(revocationsAge, time.Since(at).Seconds(), name)
		}
		to <- gauge(revocationsHeld, float64(set.Len()), name)
	}
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func counter(d *prometheus.Desc, value uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

// collectKeys sends the keys of the rings: that of access tokens, and those of ID tokens, each of
// which has an algorithm of its own.
func collectKeys(to chan<- prometheus.Metric, server string, rings []*keys.Ring) {
	type kind struct{ signs, alg, state string }
	count, age := make(map[kind]int), make(map[kind]time.Duration)
	for i, ring := range rings {
		signs := "id_token"
		if i == 0 {
			signs = "access_token"
		}
		for _, k := range ring.Current().List() {
			of := kind{signs, k.Algorithm, string(k.State)}
			count[of]++
			since := k.Activated
			if k.State == keys.Next {
				since = k.Created
			}
			if !since.IsZero() && k.State != keys.Retired {
				age[of] = max(age[of], time.Since(since))
			}
		}
	}
	for of, n := range count {
		to <- gauge(signingKeys, float64(n), server, of.signs, of.alg, of.state)
	}
	for of, d := range age {
		to <- gauge(signingKeyAge, d.Seconds(), server, of.signs, of.alg, of.state)
	}
}

// collectKeySets sends what is known of key sets: of several of one issuer the worst.
func collectKeySets(to chan<- prometheus.Metric, sets []endpoint.ForeignKeys) {
	up, age := make(map[string]float64), make(map[string]time.Duration)
	for _, k := range sets {
		s := k.Keys.Status()
		if s.Fetched {
			age[k.Issuer] = max(age[k.Issuer], s.Age)
		}
		if s.State == verify.KeySetNotFetched {
			continue
		}
		if _, known := up[k.Issuer]; !known {
			up[k.Issuer] = 1
		}
		if s.State != verify.KeySetFresh {
			up[k.Issuer] = 0
		}
	}
	for issuer, value := range up {
		to <- gauge(keySetUp, value, issuer)
	}
	for issuer, d := range age {
		to <- gauge(keySetAge, d.Seconds(), issuer)
	}
}

func collectCache(to chan<- prometheus.Metric, server string, c *verify.Cache) {
	s := c.Stats()
	to <- gauge(cacheTokens, float64(s.Tokens), server)
	to <- gauge(cacheBytes, float64(s.Bytes), server)
	to <- counter(cacheLookups, s.Hits, server, "hit")
	to <- counter(cacheLookups, s.Misses, server, "miss")
}

func collectLimiter(to chan<- prometheus.Metric, server, who string, l *tokenep.Limiter) {
	refused, waiting := l.Stats()
	to <- counter(limiterRefused, refused, server, who)
	to <- gauge(limiterWaiting, float64(waiting), server, who)
}
