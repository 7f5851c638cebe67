package servertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"

	"github.com/redis/go-redis/v9"
)

// Redis starts a Redis or Valkey that has each write on disk before it answers. Settings are those
// of redis-server: "--maxmemory", "10mb".
func Redis(settings ...string) (*Process, error) {
	binary, err := findRedis()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		return nil, err
	}
	return launch(dir, func(port string) *Process {
		args := append([]string{
			"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "",
			"--appendonly", "yes", "--appendfsync", "always", "--requirepass", Password,
		}, settings...)
		u := url.URL{Scheme: "redis", User: url.UserPassword("", Password), Host: "127.0.0.1:" + port}
		return &Process{
			URL:     u.String(),
			command: func() *exec.Cmd { return exec.Command(binary, args...) }, //nolint:gosec // as found in PATH
			ping: func(ctx context.Context) error {
				c := redis.NewClient(&redis.Options{Addr: u.Host, Password: Password, DialerRetries: 1, MaxRetries: -1})
				defer func() { _ = c.Close() }()
				return c.Ping(ctx).Err()
			},
		}
	})
}

func findRedis() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if binary, err := exec.LookPath(name); err == nil {
			return binary, nil
		}
	}
	return "", fmt.Errorf("redis-server is %w: apt-get install redis-server", ErrMissing)
}
