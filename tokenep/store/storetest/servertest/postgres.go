package servertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/jackc/pgx/v5"
)

// Postgres starts a PostgreSQL. Settings are those of postgresql.conf: "fsync=off".
func Postgres(settings ...string) (*Process, error) {
	initdb, postgres, err := findPostgres()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "postgres")
	if err != nil {
		return nil, err
	}
	who := unprivileged() // PostgreSQL refuses to be root
	data := filepath.Join(dir, "data")
	if err := initialize(who, initdb, dir, data); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return launch(dir, func(port string) *Process {
		args := []string{"-D", data, "-h", "127.0.0.1", "-p", port, "-k", ""}
		for _, setting := range settings {
			args = append(args, "-c", setting)
		}
		u := url.URL{Scheme: "postgres", User: url.UserPassword("oauth", Password), Host: "127.0.0.1:" + port, Path: "/postgres"}
		return &Process{
			URL: u.String(),
			command: func() *exec.Cmd {
				cmd := who.as(exec.Command(postgres, args...)) //nolint:gosec // as found in PATH
				cmd.Dir = dir
				return cmd
			},
			ping: func(ctx context.Context) error {
				c, err := pgx.Connect(ctx, u.String())
				if err != nil {
					return err
				}
				return c.Close(ctx)
			},
		}
	})
}

// findPostgres also searches the directories of Debian, which are not in PATH. The newest version
// is the last there.
func findPostgres() (initdb, postgres string, err error) {
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for i := len(folders) - 1; i >= -1; i-- {
		folder := ""
		if i >= 0 {
			folder = folders[i] + "/"
		}
		initdb, err = exec.LookPath(folder + "initdb")
		if err != nil {
			continue
		}
		if postgres, err = exec.LookPath(folder + "postgres"); err == nil {
			return initdb, postgres, nil
		}
	}
	return "", "", fmt.Errorf("PostgreSQL is %w: apt-get install postgresql", ErrMissing)
}

func initialize(who *account, initdb, dir, data string) error {
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(Password+"\n"), 0o600); err != nil {
		return err
	}
	if err := who.own(dir); err != nil {
		return err
	}
	if err := who.own(password); err != nil {
		return err
	}
	args := []string{
		"-D", data, "-U", "oauth", "--pwfile", password, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C", "--no-sync",
	}
	cmd := who.as(exec.Command(initdb, args...)) //nolint:gosec // as found in PATH
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}
