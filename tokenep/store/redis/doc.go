// Package redis keeps records in Redis 7 or Valkey, alone or as a cluster: for several processes
// that share their state.
//
// A record is one key. Swap is a script that compares the version in the value and replaces it, on
// the one node that has the key. Indexes for List lie beside the records, each in the slot of the
// records that it names, and are written by the same script: an index is never behind. Redis drops
// expired records by itself, a minute late in case its clock is ahead, and each process removes
// them from the indexes once a minute.
//
// How durable an acknowledged write is depends on the settings of Redis. Every one survives a crash
// only with "appendonly yes" and "appendfsync always"; "everysec" loses up to a second, and then a
// code can be spent again. Replication is asynchronous: a fail-over can lose the last writes,
// unless min-replicas-to-write narrows that. And Redis must not evict: under any policy but
// "maxmemory-policy noeviction" it drops sessions when it is full.
//
// A user for this package alone needs no more rights than these, and in a cluster +cluster|slots:
//
//	ACL SETUSER oauth on >password ~oauth:{* +get +set +getrange +del +eval +evalsha
//	ACL SETUSER oauth +zadd +zrem +zrange +time +sadd +smembers
//
// and one that only reads, as for whoever follows revocations, no more than these, with a negative
// [Options].SweepInterval:
//
//	ACL SETUSER reader on >password %R~oauth:{* +get +zrange
//
// go-redis cannot give a client a logger of its own. It has one for the whole process, which writes
// to the standard error unless redis.SetLogger replaces it. This package leaves that as it is,
// because it may serve other clients too. While Redis is unavailable, a line goes there for each
// failed connection until there have been as many as the pool_size of the client; then go-redis
// probes the server without logging. All failures are also in the errors of the verbs.
//
// The tests run redis-server 7, or valkey-server if that is installed.
//
//	redis.go    Open, Options, Close
//	connect.go  the client, and its settings
//	verbs.go    the verbs
//	sweep.go    cleaning the indexes
//	script.go   the scripts, and how one is run
//	layout.go   where a record is, and what its bytes are
package redis
