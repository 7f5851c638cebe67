package servertest

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"
)

// duplicateObject is the SQLSTATE for a role that there is already.
const duplicateObject = "42710"

// Reader makes a user of Redis or PostgreSQL who may read the records and do nothing else, with the
// rights that the packages of the stores name, and returns its URL. The tables must be there. In
// Redis the user is gone when the process ends.
func (p *Process) Reader(ctx context.Context) (string, error) {
	u, err := url.Parse(p.URL)
	if err != nil {
		return "", err
	}
	if u.Scheme == "redis" {
		err = redisReader(ctx, u.Host)
	} else {
		err = postgresReader(ctx, p.URL)
	}
	u.User = url.UserPassword("reader", Password)
	return u.String(), err
}

func redisReader(ctx context.Context, address string) error {
	c := redis.NewClient(&redis.Options{Addr: address, Password: Password})
	defer func() { _ = c.Close() }()
	return c.Do(ctx, "ACL", "SETUSER", "reader", "reset", "on", ">"+Password, "%R~oauth:{*", "+get", "+zrange").Err()
}

func postgresReader(ctx context.Context, address string) error {
	c, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	for _, sql := range []string{
		fmt.Sprintf("CREATE ROLE reader LOGIN PASSWORD '%s'", Password),
		"GRANT SELECT ON oauth_schema, oauth_records TO reader",
	} {
		var sent *pgconn.PgError
		if _, err := c.Exec(ctx, sql); err != nil && !(errors.As(err, &sent) && sent.Code == duplicateObject) {
			return err
		}
	}
	return nil
}
