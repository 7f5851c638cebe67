// Package redis keeps records in Redis 7 or Valkey, alone or as a cluster: for
// several servers that share their state.
//
// A record is one key. Swap is a script that compares the version in the value
// and replaces it, on the one node that has the key. Beside the records lie
// indexes for List, each in the slot of the records that it names, and written
// by the same script: an index is never behind. Redis drops what has expired
// by itself, a minute late in case its clock is ahead, and each process takes it
// out of the indexes once a minute.
//
// What an answer is worth is a setting of Redis. It keeps every acknowledged
// write through a crash only with "appendonly yes" and "appendfsync always";
// with "everysec" it loses up to a second, and then a code may be spent again.
// Replication is asynchronous: a fail-over can lose the last writes, unless
// min-replicas-to-write narrows that. And it must not evict: under any policy
// but "maxmemory-policy noeviction" it throws sessions away when it is full.
//
// A user of its own needs no more than this, and in a cluster +cluster|slots:
//
//	ACL SETUSER oauth on >password ~oauth:{* +get +set +getrange +del +zadd +zrem +zrange +time +sadd +smembers +eval +evalsha
//
// The tests run against redis-server 7, or valkey-server where that is what is installed.
//
//	redis.go    Open, Options, Close
//	connect.go  the client, and its settings
//	verbs.go    the verbs
//	sweep.go    cleaning the indexes
//	script.go   the scripts, and how one is run
//	layout.go   where a record is, and what its bytes are
package redis
