package servertest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// Statements is the setting with which Postgres counts Calls.
const Statements = "shared_preload_libraries=pg_stat_statements"

// Calls is how many requests a server has had for the records of stores, since it was started.
type Calls struct{ Reads, Writes int }

// Sub is what has come since.
func (c Calls) Sub(before Calls) Calls {
	return Calls{c.Reads - before.Reads, c.Writes - before.Writes}
}

// Kind is what the records of a kind take in a server, each on average.
type Kind struct {
	Name    string
	Records int
	Bytes   int // without indexes
}

// Figures asks a Redis or a PostgreSQL about its work.
type Figures struct {
	Calls func(ctx context.Context) (Calls, error)
	Kinds func(ctx context.Context) ([]Kind, error)
	Bytes func(ctx context.Context) (int, error) // of all records, with indexes
	Close func()
}

// Figures opens a connection for them. PostgreSQL needs Statements for the Calls.
func (p *Process) Figures(ctx context.Context) (Figures, error) {
	if strings.HasPrefix(p.URL, "redis:") {
		c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + p.Port, Password: Password})
		return Figures{
			func(ctx context.Context) (Calls, error) { return redisCalls(ctx, c) },
			func(ctx context.Context) ([]Kind, error) { return redisKinds(ctx, c) },
			func(ctx context.Context) (int, error) { return redisBytes(ctx, c) },
			func() { _ = c.Close() },
		}, nil
	}
	c, err := pgx.Connect(ctx, p.URL)
	if err != nil {
		return Figures{}, err
	}
	return Figures{
		func(ctx context.Context) (Calls, error) { return postgresCalls(ctx, c) },
		func(ctx context.Context) ([]Kind, error) { return postgresKinds(ctx, c) },
		func(ctx context.Context) (n int, err error) {
			return n, c.QueryRow(ctx, "SELECT pg_total_relation_size('oauth_records')").Scan(&n)
		},
		func() { _ = c.Close(context.WithoutCancel(ctx)) },
	}, nil
}

var commandCalls = regexp.MustCompile(`cmdstat_(get|mget|evalsha|eval):calls=(\d+)`)

// redisCalls counts the commands of the store: its scripts use none of these.
func redisCalls(ctx context.Context, c *redis.Client) (all Calls, err error) {
	text, err := c.Info(ctx, "commandstats").Result()
	for _, found := range commandCalls.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(found[2])
		if strings.HasPrefix(found[1], "eval") {
			all.Writes += n
		} else {
			all.Reads += n
		}
	}
	return all, err
}

func postgresCalls(ctx context.Context, c *pgx.Conn) (all Calls, err error) {
	if _, err = c.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
		return all, err
	}
	return all, c.QueryRow(ctx, `SELECT coalesce(sum(calls) FILTER (WHERE query LIKE 'SELECT id,%'), 0),
		coalesce(sum(calls) FILTER (WHERE query ~ '^(INSERT INTO|UPDATE|DELETE FROM) oauth_records'), 0)
		FROM pg_stat_statements`).Scan(&all.Reads, &all.Writes)
}

func postgresKinds(ctx context.Context, c *pgx.Conn) ([]Kind, error) {
	rows, err := c.Query(ctx, `SELECT kind, count(*), avg(pg_column_size(r.*))::bigint
		FROM oauth_records r GROUP BY kind ORDER BY kind`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Kind])
}

var datasetBytes = regexp.MustCompile(`used_memory_dataset:(\d+)`)

func redisBytes(ctx context.Context, c *redis.Client) (int, error) {
	text, err := c.Info(ctx, "memory").Result()
	found := datasetBytes.FindStringSubmatch(text)
	if err != nil || found == nil {
		return 0, err
	}
	return strconv.Atoi(found[1])
}

// redisKinds measures some records of each kind.
func redisKinds(ctx context.Context, c *redis.Client) (kinds []Kind, err error) {
	const enough = 200
	at := make(map[string]int)
	measured := make(map[string]int)
	keys := c.Scan(ctx, 0, "oauth:{*}:*", 1000).Iterator()
	for keys.Next(ctx) {
		name := strings.Split(keys.Val(), ":")[2]
		i, ok := at[name]
		if !ok {
			i = len(kinds)
			at[name], kinds = i, append(kinds, Kind{Name: name})
		}
		if kinds[i].Records++; measured[name] >= enough {
			continue
		}
		size, err := c.MemoryUsage(ctx, keys.Val()).Result()
		if err != nil {
			continue // it has just expired
		}
		kinds[i].Bytes += int(size)
		measured[name]++
	}
	for i := range kinds {
		kinds[i].Bytes /= max(1, measured[kinds[i].Name])
	}
	return kinds, keys.Err()
}

// Worked returns how long processors have worked for the process and its children, on Linux only.
func (p *Process) Worked() (worked time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	pid := p.cmd.Process.Pid
	worked = ticks(pid, 4)
	for _, child := range children(pid) {
		worked += ticks(child, 4)
	}
	return worked
}

// Worked returns how long processors have worked for a process, on Linux only.
func Worked(pid int) time.Duration { return ticks(pid, 2) }

// ticks adds fields of the stat of a process, in hundredths of a second: 14 and 15 are its own
// time, 16 and 17 that of children that it has outlived.
func ticks(pid, fields int) (worked time.Duration) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	all := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	for i := 11; i < min(11+fields, len(all)); i++ {
		hundredths, _ := strconv.Atoi(string(all[i]))
		worked += time.Duration(hundredths) * 10 * time.Millisecond
	}
	return worked
}
