package redis

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/tokenep/caddy-tokenep/tokenep/store/internal/engine"
)

// Each script gets the keys of a record, its index of ids and its index of times. Redis runs a
// script atomically on the node that has these keys. That makes it a compare-and-swap, and keeps
// the indexes correct.
var (
	// KEYS: record, ids, expires. ARGV: id, value, when to drop it or 0. Returns 1, or 0 if there
	// is a record.
	insert = newScript(`
if ARGV[3] == "0" then
	if not redis.call("SET", KEYS[1], ARGV[2], "NX") then return 0 end
	redis.call("ZREM", KEYS[3], ARGV[1])
else
	if not redis.call("SET", KEYS[1], ARGV[2], "NX", "PXAT", ARGV[3]) then return 0 end
	redis.call("ZADD", KEYS[3], ARGV[3], ARGV[1])
end
redis.call("ZADD", KEYS[2], 0, ARGV[1])
return 1
`)

	// KEYS: record, ids, expires. ARGV: id, value, when to drop it or 0, the version to replace as
	// 8 bytes. Returns 1, or 0 on a conflict.
	swap = newScript(`
local was = redis.call("GETRANGE", KEYS[1], 0, 15)
if string.sub(was, 1, 8) ~= ARGV[4] then return 0 end
local moved = string.sub(was, 9) ~= string.sub(ARGV[2], 9, 16)
if ARGV[3] == "0" then
	redis.call("SET", KEYS[1], ARGV[2])
	if moved then redis.call("ZREM", KEYS[3], ARGV[1]) end
else
	redis.call("SET", KEYS[1], ARGV[2], "PXAT", ARGV[3])
	if moved then redis.call("ZADD", KEYS[3], ARGV[3], ARGV[1]) end
end
return 1
`)

	// KEYS: record, ids, expires. ARGV: id. Returns 1.
	remove = newScript(`
redis.call("DEL", KEYS[1])
redis.call("ZREM", KEYS[2], ARGV[1])
redis.call("ZREM", KEYS[3], ARGV[1])
return 1
`)

	// KEYS: ids, expires. ARGV: how many at most. Removes from the indexes what Redis has dropped,
	// and returns how many. It need not read the records, because the index has their times.
	sweep = newScript(`
local time = redis.call("TIME")
local now = string.format("(%.0f", time[1] * 1000 + math.floor(time[2] / 1000))
local gone = redis.call("ZRANGE", KEYS[2], "-inf", now, "BYSCORE", "LIMIT", 0, ARGV[1])
if #gone > 0 then
	redis.call("ZREM", KEYS[1], unpack(gone))
	redis.call("ZREM", KEYS[2], unpack(gone))
end
return #gone
`)
)

// A node knows a script by the hash of its text, once it has run there.
type script struct{ text, hash string }

func newScript(text string) script { return script{text, redis.NewScript(text).Hash()} }

// once is a command that is never sent again. A write whose answer was lost may have happened: a
// second Insert would find its own record and return ErrExists.
type once struct{ *redis.Cmd }

// NoRetry keeps go-redis from sending the command again.
func (once) NoRetry() bool { return true }

// write runs a verb that is a script, and returns none as the error if it wrote nothing.
func (s *Store) write(ctx context.Context, none error, script script, keys []string, args ...any) error {
	_, err := engine.Do(ctx, s.line, func(ctx context.Context) (int, error) {
		n, err := s.run(ctx, script, keys, args...)
		if err == nil && n == 0 {
			err = none
		}
		return n, err
	})
	return err
}

// run runs a script that returns a number. A node that does not know the script has run nothing,
// and then gets its text.
func (s *Store) run(ctx context.Context, script script, keys []string, args ...any) (int, error) {
	cmd := once{call(ctx, "evalsha", script.hash, keys, args)}
	err := s.client.Process(ctx, cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		cmd = once{call(ctx, "eval", script.text, keys, args)}
		err = s.client.Process(ctx, cmd)
	}
	if err != nil {
		return 0, err
	}
	return cmd.Int()
}

func call(ctx context.Context, verb, script string, keys []string, args []any) *redis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, verb, script, len(keys))
	for _, key := range keys {
		all = append(all, key)
	}
	return redis.NewCmd(ctx, append(all, args...)...)
}
